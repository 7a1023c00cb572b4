import { type Clock, systemClock, type Timer } from "../../clock.ts";

/** How events are sent as a response. */
export interface EventStreamOptions {
  /** Milliseconds of silence after which a comment is sent, so that proxies keep the connection. Default 15,000. */
  readonly heartbeatMs?: number;
  /** Headers to send besides. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/**
 * Server-sent events as a response. They are taken one by one, as the client takes them; when it leaves, `events` is
 * told to return. `own` are the headers of the protocol that the events follow.
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
  for (const [name, value] of Object.entries(own)) headers.set(name, value);
  return new Response(body, { headers });
}
