import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import type { Turn } from "./turn.ts";
import type { UIMessageChunk } from "./ui-message-chunk.ts";
import { UIMessageStream } from "./ui-message-stream.ts";

/** A turn as a UI message stream of the AI SDK. When the client leaves, the reader is detached; the turn goes on. */
export function uiMessageStreamResponse(turn: Turn, options: EventStreamOptions): Response {
  return eventStreamResponse(eventsOf(turn), options, { "x-vercel-ai-ui-message-stream": "v1" });
}

async function* eventsOf(turn: Turn): AsyncGenerator<string, void, undefined> {
  const stream = new UIMessageStream(turn);
  yield events(stream.start());
  try {
    if (turn.recalled) yield events(stream.recall(await turn.result()));
    else {
      for await (const message of turn.messages()) {
        const told = events(stream.read(message));
        if (told !== "") yield told;
      }
    }
    yield events(stream.complete(await turn.result()));
  } catch (error) {
    yield events(stream.fail(error));
  }
  yield "data: [DONE]\n\n";
}

function events(chunks: Iterable<UIMessageChunk>): string {
  return Array.from(chunks, (chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
}
