import { type Clock, systemClock, type Timer } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { Reply } from "./reply.ts";
import { DeltaReader, type ToolUse, toolUsesOf } from "./transcript.ts";
import type { Turn } from "./turn.ts";

/** The events of {@link Turn.toResponse}: the name of each, and what its JSON data is. */
export interface TurnEvents {
  text: { readonly text: string };
  thinking: { readonly text: string };
  tool_use: ToolUse;
  /** The last event of a turn that completed. */
  result: Reply;
  /** The last event of any other turn. */
  error: { readonly code: string; readonly message: string };
}

export interface SseOptions {
  /** The number of the last event that the client has seen, as it sends it in `Last-Event-ID`. */
  readonly lastEventId?: string | null;
  /** Milliseconds of silence after which a comment is sent, so that proxies keep the connection. Default 15,000. */
  readonly heartbeatMs?: number;
  /** Headers to send besides. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/** A turn as a response of server-sent events. When the client leaves, the reader is detached; the turn goes on. */
export function turnResponse(turn: Turn, options: SseOptions): Response {
  const { lastEventId, heartbeatMs = 15_000, clock = systemClock } = options;
  const seen = Number.parseInt(lastEventId ?? "", 10);
  const events = eventsOf(turn, Number.isNaN(seen) ? -1 : seen);
  const encoder = new TextEncoder();
  let beat: Timer | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const rest = (): void => {
          beat = clock.schedule(
            heartbeatMs,
            () => {
              // A client that has not even taken the last comment gets no further one.
              if (controller.desiredSize === 0) controller.enqueue(encoder.encode(": waiting\n\n"));
              rest();
            },
            { background: true },
          );
        };
        rest();
        const { done, value } = await events.next();
        beat?.cancel();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel() {
        beat?.cancel();
        void events.return();
      },
    },
    { highWaterMark: 0 },
  );
  const headers = new Headers(options.headers);
  headers.set("content-type", "text/event-stream; charset=utf-8");
  headers.set("cache-control", "no-cache, no-transform");
  // nginx would otherwise hold the events back until its buffer is full.
  headers.set("x-accel-buffering", "no");
  return new Response(body, { headers });
}

async function* eventsOf(turn: Turn, seen: number): AsyncGenerator<string, void, undefined> {
  const reader = new DeltaReader();
  let last = seen;
  try {
    // Read from the beginning, because what a message adds to the text depends on those before it.
    for await (const { number, message } of turn.messages()) {
      const events = [
        ...reader.read(message).map(({ type, text }) => event(type, { text })),
        ...toolUsesOf(message).map((use) => event("tool_use", use)),
      ];
      if (number <= seen || events.length === 0) continue;
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
