import { CastellanError } from "../errors.ts";
import { type EventStreamOptions, eventStreamResponse } from "./event-stream-response.ts";
import type { Reply } from "./reply.ts";
import { DeltaReader, type ToolUse, toolUsesOf } from "./transcript.ts";
import type { Turn } from "./turn.ts";

/** The events of {@link Turn.toResponse}: the name of each, and what its JSON data is. */
export interface TurnEvents {
  text: { readonly text: string };
  thinking: { readonly text: string };
  tool_use: ToolUse;
  /** The turn was cut after it had shown something, and is run again: what was sent before is void. */
  retry: { readonly attempt: number };
  /** The last event of a turn that completed. */
  result: Reply;
  /** The last event of any other turn. */
  error: { readonly code: string; readonly message: string };
}

export interface SseOptions extends EventStreamOptions {
  /** The number of the last event that the client has seen, as it sends it in `Last-Event-ID`. */
  readonly lastEventId?: string | null;
}

/** A turn as a response of server-sent events. When the client leaves, the reader is detached; the turn goes on. */
export function turnResponse(turn: Turn, options: SseOptions): Response {
  const seen = Number.parseInt(options.lastEventId ?? "", 10);
  return eventStreamResponse(eventsOf(turn, Number.isNaN(seen) ? -1 : seen), options);
}

async function* eventsOf(turn: Turn, seen: number): AsyncGenerator<string, void, undefined> {
  const reader = new DeltaReader();
  let last = seen;
  // The try that the client has something of.
  let told: number | undefined;
  const retried = (attempt: number): string[] => {
    const again = told !== undefined && told !== attempt;
    told = attempt;
    return again ? [event("retry", { attempt })] : [];
  };
  try {
    if (turn.recalled) {
      const { text } = await turn.result();
      // Whoever has seen something of it has seen it another way; the result has all of it.
      if (seen < 0) yield `${event("text", { text })}\n\n`;
      yield `${event("result", await turn.result())}\nid: ${last + 1}\n\n`;
      return;
    }
    // Read from the beginning, because what a message adds to the text depends on those before it.
    for await (const { number, message, attempt } of turn.messages()) {
      const pieces = [
        ...reader.read(message).map(({ type, text }) => event(type, { text })),
        ...toolUsesOf(message).map((use) => event("tool_use", use)),
      ];
      if (pieces.length === 0) continue;
      const events = [...retried(attempt), ...pieces];
      if (number <= seen) continue;
      last = number;
      // The number stands on the last event of a message only, so that a client that has it has them all.
      yield `${events.join("\n\n")}\nid: ${number}\n\n`;
    }
    yield `${event("result", await turn.result())}\nid: ${last + 1}\n\n`;
  } catch (error) {
    const { code, message } = CastellanError.is(error) ? error : { code: "INTERNAL", message: "internal error" };
    yield `${event("error", { code, message })}\nid: ${last + 1}\n\n`;
  }
}

function event<Name extends keyof TurnEvents>(name: Name, data: TurnEvents[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}`;
}
