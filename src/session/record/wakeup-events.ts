import type { Wakeup } from "../../claude/messages/wakeups.ts";
import { withoutUndefined } from "../../fields.ts";
import type { EventDraft } from "./session-event-types.ts";

/**
 * Returns the events of a change of the turns that Claude has scheduled for itself. `fired` tells whether one came due;
 * otherwise those that are gone were cancelled.
 */
export function wakeupEvents(before: readonly Wakeup[], after: readonly Wakeup[], fired: boolean): EventDraft[] {
  const isIn = (wakeups: readonly Wakeup[], { id, at }: Wakeup): boolean =>
    wakeups.some((other) => other.id === id && other.at === at);
  const gone = before.filter((wakeup) => !after.some(({ id }) => id === wakeup.id));
  return [
    ...gone.map(({ id }): EventDraft => ({ type: fired ? "wakeup_fired" : "wakeup_cancelled", id })),
    ...after
      .filter((wakeup) => !isIn(before, wakeup))
      .map(
        ({ id, at: due, recurring }): EventDraft => ({
          type: "wakeup_scheduled",
          id,
          recurring,
          ...withoutUndefined({ due }),
        }),
      ),
  ];
}
