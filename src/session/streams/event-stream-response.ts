import { type Clock, systemClock, type Timer } from "../../clock.ts";
import type { ResponseView } from "./response-view.ts";

/** Options of a response with server-sent events. */
export interface EventStreamOptions {
  /** Who reads the response. Default `"user"`. */
  readonly view?: ResponseView;
  /** Milliseconds of silence before a comment is sent, so that proxies keep the connection. Default 15,000. */
  readonly heartbeatMs?: number;
  /** Additional headers. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/**
 * Returns a response of server-sent events. Pulls each event as the client takes it, and calls `return` on `events`
 * when the client leaves. An error of `events` breaks the connection. `own` are the headers of the events' protocol.
 */
export function eventStreamResponse(
  events: AsyncGenerator<string, void, undefined>,
  options: EventStreamOptions,
  own: Readonly<Record<string, string>> = {},
): Response {
  const { heartbeatMs = 15_000, clock = systemClock } = options;
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
