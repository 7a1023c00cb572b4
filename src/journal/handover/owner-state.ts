/**
 * Where the owner of a journal stands in a hand-over to another application on the same machine. The lock of the file,
 * or the row of the database, decides who writes; these states only decide what the owner tries next.
 */
export type OwnerState =
  /** It writes. */
  | { readonly name: "owning" }
  /** It begins no more turns, and writes what is pending. The taker waits. */
  | { readonly name: "yielding"; readonly taker: string }
  /** It has closed the journal. The taker may open it. Writes and reads wait. */
  | { readonly name: "released"; readonly taker: string }
  /** The taker owns the journal, and writes for the sessions that it has lent to this application. */
  | { readonly name: "lending"; readonly taker: string }
  /** The taker is gone or silent: this application tries to open the journal again. Writes and reads wait. */
  | { readonly name: "reclaiming" }
  /** Another application owns the journal, and has lent nothing. */
  | { readonly name: "lost" }
  /** It has closed the journal for good. */
  | { readonly name: "closed" };

export type OwnerEvent =
  /** An application on this machine is ready to take the journal. */
  | { readonly type: "asked"; readonly taker: string }
  /** What was pending is written, and the journal is closed. */
  | { readonly type: "released" }
  /** What was pending could not be written in time. */
  | { readonly type: "unwritable" }
  /** The taker owns the journal. */
  | { readonly type: "taken"; readonly taker: string }
  /** An application that was not offered the journal has opened it while nobody had: now it is the taker. */
  | { readonly type: "opened"; readonly taker: string }
  /** The connection to the taker ended. */
  | { readonly type: "gone"; readonly taker: string }
  /** The taker has not opened the journal in time. */
  | { readonly type: "overdue" }
  /** This application has opened the journal again. */
  | { readonly type: "reopened" }
  /** Another application owns the journal, and this one has no part in it. */
  | { readonly type: "refused" }
  | { readonly type: "close" };

/** What the owner does on a transition. */
export type OwnerAction =
  /** Begin no more turns, write what is pending, close the journal. */
  | "yield"
  /** Tell the taker that the journal is free. */
  | "offer"
  /** Tell the taker to wait. */
  | "decline"
  /** Begin turns again. */
  | "resume"
  /** Write through the taker, and end the sessions here as they become idle. */
  | "lend"
  /** Open the journal again, or find its owner. */
  | "reclaim"
  /** End all sessions here: their turns belong to the owner. */
  | "lose";

export interface OwnerStep {
  readonly state: OwnerState;
  readonly actions: readonly OwnerAction[];
}

/** Returns what follows from an event. An event that does not apply changes nothing. */
export function nextOwnerStep(state: OwnerState, event: OwnerEvent): OwnerStep {
  const stays: OwnerStep = { state, actions: [] };
  if (state.name === "closed" || state.name === "lost") return event.type === "asked" ? declined(state) : stays;
  if (event.type === "close") return { state: { name: "closed" }, actions: [] };
  switch (state.name) {
    case "owning":
      if (event.type !== "asked") return stays;
      return { state: { name: "yielding", taker: event.taker }, actions: ["yield"] };
    case "yielding":
      switch (event.type) {
        case "asked":
          return declined(state);
        case "released":
          return { state: { name: "released", taker: state.taker }, actions: ["offer"] };
        case "unwritable":
          return { state: { name: "owning" }, actions: ["decline", "resume"] };
        default:
          // A taker that is gone is noticed once the journal is closed: an opening must not overlap the closing.
          return stays;
      }
    case "released":
      switch (event.type) {
        case "asked":
          return declined(state);
        case "taken":
          return event.taker === state.taker
            ? { state: { name: "lending", taker: state.taker }, actions: ["lend"] }
            : stays;
        case "opened":
          return { state: { name: "lending", taker: event.taker }, actions: ["lend"] };
        case "gone":
          return event.taker === state.taker ? { state: { name: "reclaiming" }, actions: ["reclaim"] } : stays;
        case "overdue":
          return { state: { name: "reclaiming" }, actions: ["reclaim"] };
        default:
          return stays;
      }
    case "lending":
      if (event.type === "asked") return declined(state);
      if (event.type === "refused") return { state: { name: "lost" }, actions: ["lose"] };
      if (event.type === "opened") return { state: { name: "lending", taker: event.taker }, actions: ["lend"] };
      if (event.type !== "gone" || event.taker !== state.taker) return stays;
      return { state: { name: "reclaiming" }, actions: ["reclaim"] };
    case "reclaiming":
      switch (event.type) {
        case "asked":
          return declined(state);
        case "reopened":
          return { state: { name: "owning" }, actions: ["resume"] };
        case "taken":
        case "opened":
          return { state: { name: "lending", taker: event.taker }, actions: ["lend"] };
        case "refused":
          return { state: { name: "lost" }, actions: ["lose"] };
        default:
          return stays;
      }
  }
}

function declined(state: OwnerState): OwnerStep {
  return { state, actions: ["decline"] };
}
