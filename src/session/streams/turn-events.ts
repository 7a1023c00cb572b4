import type { EventOptions } from "../record/event-readers.ts";
import { leavable } from "../record/leavable.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import type { TurnSource } from "./turn-source.ts";

/** Reads events of a turn's session. */
export type ReadEvents = (options: EventOptions) => AsyncGenerator<SessionEvent, void, undefined>;

/**
 * Yields a turn's events after number `after` until the turn has ended here, with or without an event: it may continue after the next
 * start, or may not have been accepted.
 *
 * @param types only events of these types; default: all
 * @throws CastellanError why the turn was not accepted
 */
export function turnEvents(
  { id: turn, accepted, result }: Pick<TurnSource, "id" | "accepted" | "result">,
  read: ReadEvents,
  { after: from = 0, ...wanted }: Pick<EventOptions, "after" | "types"> = {},
): AsyncGenerator<SessionEvent, void, undefined> {
  const live = read({ after: from, turn, ...wanted });
  return leavable(events(), () => void live.return());

  async function* events(): AsyncGenerator<SessionEvent, void, undefined> {
    let after = from;
    /** Set once the turn has ended and no event says so, or that could not be read. */
    let over: { readonly error?: unknown } | undefined;
    void leaveWithoutEvent();
    for await (const event of live) {
      after = event.number ?? after;
      yield event;
    }
    if (over === undefined) return;
    if ("error" in over) throw over.error;
    for await (const event of read({ after, turn, ...wanted, live: false })) {
      after = event.number ?? after;
      yield event;
    }
    if (after === from) await accepted;

    async function leaveWithoutEvent(): Promise<void> {
      await result.catch(() => {});
      try {
        for await (const _ of read({ after: 0, turn, types: ["turn_ended"], live: false })) return;
        over = {};
      } catch (error) {
        over = { error };
      }
      await live.return();
    }
  }
}
