import type { Child } from "./child-spec.ts";

/** A child that does not run, and why. */
export type Rest =
  /** It will be started when its time and its turn have come. `retryAt` is milliseconds since the epoch. */
  | { readonly name: "due"; readonly retryAt?: number }
  | { readonly name: "terminated" }
  | { readonly name: "quarantined" }
  /** Its spec is deleted. */
  | { readonly name: "forgotten" };

/** Where a child stands. */
export type ChildState =
  | Rest
  | { readonly name: "starting" }
  /** `since` is monotonic milliseconds. */
  | { readonly name: "up"; readonly child: Child; readonly since: number }
  /** No longer wanted: being stopped, or in line to be. It rests as `next` once it is gone. */
  | { readonly name: "leaving"; readonly next: Rest };

/** What can happen to a child. */
export type ChildStateEvent =
  | { readonly type: "launch" }
  | { readonly type: "arrived"; readonly child: Child; readonly at: number }
  /** It ended by itself, or did not come up. */
  | { readonly type: "ended"; readonly next: Rest }
  /** The supervisor wants it to rest. */
  | { readonly type: "leave"; readonly next: Rest }
  | { readonly type: "gone" };

/** Where a child stands after an event. Throws on an event that cannot happen there, which is a fault in this room. */
export function nextState(state: ChildState, event: ChildStateEvent): ChildState {
  switch (event.type) {
    case "launch":
      if (state.name === "due") return { name: "starting" };
      break;
    case "arrived":
      if (state.name === "starting") return { name: "up", child: event.child, since: event.at };
      break;
    case "ended":
      if (state.name === "starting" || state.name === "up") return event.next;
      break;
    case "leave":
      return isAlive(state) ? { name: "leaving", next: event.next } : event.next;
    case "gone":
      if (state.name === "leaving") return state.next;
      break;
  }
  throw new Error(`a child that is ${state.name} cannot take the event ${event.type}`);
}

/** Whether there is, or may be, something to stop. */
export function isAlive(state: ChildState): boolean {
  return state.name === "starting" || state.name === "up" || state.name === "leaving";
}

/** Whether the child is up or on its way up. */
export function isActive(state: ChildState): boolean {
  const ahead = state.name === "leaving" ? state.next : state;
  return ahead.name === "due" || ahead.name === "starting" || ahead.name === "up";
}
