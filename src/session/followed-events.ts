import type { FarSession } from "./far-session.ts";
import type { EventOptions } from "./record/event-readers.ts";
import { leavable } from "./record/leavable.ts";
import type { SessionEvent } from "./record/session-event-types.ts";
import type { SessionServer } from "./session-server.ts";

/** A session, and where it is once the next process of the application has it. */
interface Followed {
  readonly server: SessionServer;
  readonly far?: FarSession | undefined;
}

type Events = AsyncGenerator<SessionEvent, void, undefined>;

/** Reads the events of a session, and goes on in the next process of the application once that has the session. */
export function followedEvents(source: Followed, options: EventOptions): Events {
  let reading: Events | undefined;
  let hasLeft = false;
  const leave = (): void => {
    hasLeft = true;
    void reading?.return();
  };
  const { server } = source;
  reading = source.far?.events(options) ?? server.reading.events(options);
  const first = reading;
  async function* events(): Events {
    let { after } = options;
    for await (const event of first) {
      if (event.number !== undefined) after = event.number;
      yield event;
      if (options.turn !== undefined && event.type === "turn_ended") return;
    }
    if (hasLeft || options.live === false || !server.isSurrendered) return;
    const { far } = source;
    if (far === undefined) return;
    // A reader of what follows has seen all that this process knows.
    const seen = after ?? server.lastEvent;
    reading = far.events({ ...options, ...(seen === undefined ? {} : { after: seen }) });
    yield* reading;
  }
  return leavable(events(), leave);
}
