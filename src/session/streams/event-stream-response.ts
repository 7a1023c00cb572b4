import { z } from "zod";
import { type Clock, systemClock, type Timer } from "../../clock.ts";
import { validate } from "../options/validation.ts";
import type { ResponseView } from "./response-view.ts";

/** Options of a response with server-sent events. */
export interface EventStreamOptions {
  /** Who reads the response. Default `"user"`. */
  readonly view?: ResponseView;
  /**
   * Milliseconds of silence before a comment is sent, so that proxies keep the connection: an integer from 1 on.
   * Default 15,000.
   */
  readonly heartbeatMs?: number;
  /** Additional headers. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/** A longer or broken delay would become one of a millisecond. */
const heartbeatSchema = z.strictObject({ heartbeatMs: z.int().min(1).max(2_147_483_647).default(15_000) });

/**
 * Returns a response of server-sent events. Pulls each event as the client takes it, and calls `return` on `events`
 * when the client leaves. An error of `events` breaks the connection. `own` are the headers of the events' protocol.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function eventStreamResponse(
  events: AsyncGenerator<string, void, undefined>,
  options: EventStreamOptions,
  own: Readonly<Record<string, string>> = {},
): Response {
  const { clock = systemClock } = options;
  const { heartbeatMs } = validate(heartbeatSchema, { heartbeatMs: options.heartbeatMs }, "response");
  const encoder = new TextEncoder();
  let beat: Timer | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const rest = (): void => {
          beat = clock.schedule(
            heartbeatMs,
            () => {
              // Sends no further comment to a client that has not taken the last one.
              if (controller.desiredSize === 0) controller.enqueue(encoder.encode(": waiting\n\n"));
              rest();
            },
            { background: true },
          );
        };
        rest();
        const { done, value } = await events.next().finally(() => beat?.cancel());
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
  // Otherwise nginx buffers the events.
  headers.set("x-accel-buffering", "no");
  for (const [name, value] of Object.entries(own)) headers.set(name, value);
  return new Response(body, { headers });
}
