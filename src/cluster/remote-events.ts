import { type Clock, pause } from "../clock.ts";
import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import { type EventFrame, errorOf } from "./protocol/frames.ts";
import type { Transport } from "./protocol/transport.ts";
import { RemoteReading } from "./remote-reading.ts";
import type { FailedRoute, Routing } from "./router.ts";

/** Pause before a broken event stream is located again, in milliseconds. */
const EVENTS_RETRY_MS = 200;

export interface RemoteEventsDeps {
  readonly router: Routing;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly patienceMs: number;
}

/**
 * Reads a session's events from the nodes that own it one after the other.
 *
 * @param closed ends the reading for everybody; a reader of recorded events gets its reason
 */
export async function* remoteEvents(
  { router, transport, clock, patienceMs }: RemoteEventsDeps,
  key: string,
  options: EventOptions,
  closed: AbortSignal,
  leaving: AbortController,
): AsyncGenerator<SessionEvent, void, undefined> {
  const signal = AbortSignal.any([closed, leaving.signal]);
  const reading = new RemoteReading(options, clock, patienceMs);
  let failed: FailedRoute | undefined;
  try {
    while (!signal.aborted) {
      let failure: unknown;
      try {
        const { to } = await router.locate(key, failed);
        failed = { boot: to.boot, answered: false };
        let other: Exclude<EventFrame, { readonly type: "event" | "begins" }> | undefined;
        for await (const frame of transport.events(to, { key, options: reading.next }, signal)) {
          if (frame.type === "begins") reading.begins(frame.after);
          else if (frame.type !== "event") other = frame;
          else {
            // Every event of a session's node is a `SessionEvent`.
            const event = frame.event as SessionEvent;
            if (reading.take(event)) yield event;
          }
        }
        if (other?.type === "refused") throw errorOf(other.error);
        if (other === undefined && reading.isOver) return;
        failed = { boot: to.boot, answered: other !== undefined };
        router.forget(key, to.boot);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) break;
      reading.failed(key, failure);
      await pause(clock, EVENTS_RETRY_MS, { signal });
    }
    if (options.live === false) closed.throwIfAborted();
  } finally {
    leaving.abort();
  }
}
