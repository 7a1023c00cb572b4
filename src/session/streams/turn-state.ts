import type { EndedTurnState } from "../../journal/model/turn-entry.ts";

/**
 * The states of a turn. A turn is accepted, waits in the mailbox once it is in the journal, runs, and ends exactly
 * once. If its process dies before it has touched anything, it returns from `running` to `queued`.
 */
export type TurnState = "accepted" | "queued" | "running" | EndedTurnState;

/** The events of a turn. */
export type TurnEvent =
  | { readonly type: "enqueue" }
  | { readonly type: "run" }
  | { readonly type: "requeue" }
  /** It turns out to be a turn that has already ended. */
  | { readonly type: "recall"; readonly as: EndedTurnState }
  | { readonly type: "end"; readonly as: EndedTurnState };

/** Whether the turn has ended. */
export function hasEnded(state: TurnState): state is EndedTurnState {
  return state !== "accepted" && state !== "queued" && state !== "running";
}

/** Returns the state after `event`, or undefined if `event` cannot happen in `state`. An ended turn stays as it is. */
export function nextTurnState(state: TurnState, event: TurnEvent): TurnState | undefined {
  switch (state) {
    case "accepted":
      if (event.type === "enqueue") return "queued";
      if (event.type === "recall") return event.as;
      return event.type === "end" && isEndOfWaiting(event.as) ? event.as : undefined;
    case "queued":
      if (event.type === "run") return "running";
      return event.type === "end" && isEndOfWaiting(event.as) ? event.as : undefined;
    case "running":
      if (event.type === "requeue") return "queued";
      return event.type === "end" && event.as !== "cancelled" ? event.as : undefined;
    default:
      return undefined;
  }
}

/** A turn that never ran cannot have completed or been interrupted. */
function isEndOfWaiting(state: EndedTurnState): boolean {
  return state === "cancelled" || state === "timed_out" || state === "failed";
}
