import type { EndedTurnState } from "../../journal/model/turn-entry.ts";

/**
 * The states of a turn. It is accepted by a session, waits in its mailbox once it is in the journal, runs, and ends exactly
 * once. A turn whose process died before it had touched anything goes back from `running` to `queued`.
 */
export type TurnState = "accepted" | "queued" | "running" | EndedTurnState;

/** What can happen to a turn. */
export type TurnEvent =
  | { readonly type: "enqueue" }
  | { readonly type: "run" }
  | { readonly type: "requeue" }
  /** It turns out to be one that has ended already. */
  | { readonly type: "recall"; readonly as: EndedTurnState }
  | { readonly type: "end"; readonly as: EndedTurnState };

/** Whether the turn has ended. */
export function hasEnded(state: TurnState): state is EndedTurnState {
  return state !== "accepted" && state !== "queued" && state !== "running";
}

/** The state after `event`, or `undefined` if that cannot happen in `state`; a turn that has ended stays as it is. */
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
