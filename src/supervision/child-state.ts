import type { Child } from "./child-spec.ts";

/** The states of a child that does not run. */
export type NotRunning =
  /** The supervisor will start it. `retryAt`, in milliseconds since the epoch, is the end of its back-off. */
  | { readonly name: "due"; readonly retryAt?: number }
  | { readonly name: "terminated" }
  | { readonly name: "quarantined" }
  /** Its spec is deleted. */
  | { readonly name: "deleted" };

/** The state of a child. */
export type ChildState =
  | NotRunning
  | { readonly name: "starting" }
  /** `since` is monotonic milliseconds. */
  | { readonly name: "running"; readonly child: Child; readonly since: number }
  /** The supervisor stops it, or will stop it in turn. Once it is gone its state is `next`. */
  | { readonly name: "terminating"; readonly next: NotRunning };

/** What can happen to a child. */
export type ChildStateEvent =
  | { readonly type: "start" }
  | { readonly type: "started"; readonly child: Child; readonly at: number }
  /** It exited by itself, or its start failed. */
  | { readonly type: "exited"; readonly next: NotRunning }
  /** The supervisor wants it in the state `next`. */
  | { readonly type: "terminate"; readonly next: NotRunning }
  | { readonly type: "terminated" };

/** Returns the state of a child after an event. Throws on an invalid event, which is a bug of this room. */
export function nextState(state: ChildState, event: ChildStateEvent): ChildState {
  switch (event.type) {
    case "start":
      if (state.name === "due") return { name: "starting" };
      break;
    case "started":
      if (state.name === "starting") return { name: "running", child: event.child, since: event.at };
      break;
    case "exited":
      if (state.name === "starting" || state.name === "running") return event.next;
      break;
    case "terminate":
      return isAlive(state) ? { name: "terminating", next: event.next } : event.next;
    case "terminated":
      if (state.name === "terminating") return state.next;
      break;
  }
  throw new Error(`a child that is ${state.name} cannot take the event ${event.type}`);
}

/** Whether the child runs, starts or is being stopped. */
export function isAlive(state: ChildState): boolean {
  return state.name === "starting" || state.name === "running" || state.name === "terminating";
}

/** Whether the child runs, or will run without a call. */
export function isActive(state: ChildState): boolean {
  const ahead = state.name === "terminating" ? state.next : state;
  return ahead.name === "due" || ahead.name === "starting" || ahead.name === "running";
}
