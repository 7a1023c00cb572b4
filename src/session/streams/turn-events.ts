import type { EventOptions } from "../record/event-readers.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import type { TurnSource } from "./turn-source.ts";

/** Reads events of a turn's session. */
export type ReadEvents = (options: EventOptions) => AsyncGenerator<SessionEvent, void, undefined>;

/**
 * Yields a turn's events until the turn has ended here, with or without an event: it may continue after the next start, or may not have
 * been accepted.
 *
 * @throws CastellanError why the turn was not accepted
 */
export async function* turnEvents(
  { id: turn, result }: Pick<TurnSource, "id" | "result">,
  read: ReadEvents,
): AsyncGenerator<SessionEvent, void, undefined> {
  let after = 0;
  const over = endedWithoutEvent();
  // The reader may have left by then.
  over.catch(() => {});
  const live = read({ after, turn });
  try {
    for (;;) {
      const next = await Promise.race([live.next(), over]);
      if (next === undefined) break;
      if (next.done === true) return;
      after = next.value.number ?? after;
      yield next.value;
    }
  } finally {
    // It may wait for an event that does not come.
    void live.return();
  }
  for await (const event of read({ after, turn, live: false })) {
    after = event.number ?? after;
    yield event;
  }
  if (after === 0) await result;

  /** Resolves once the turn has ended and no event says so. Never resolves if one does. */
  async function endedWithoutEvent(): Promise<undefined> {
    await result.catch(() => {});
    const ends = read({ after: 0, turn, types: ["turn_ended"], live: false });
    let hasEvent = false;
    for await (const _ of ends) hasEvent = true;
    return hasEvent ? await new Promise<never>(() => {}) : undefined;
  }
}
