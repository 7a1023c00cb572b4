/** How a session stands with its process. A session is in one life at a time; a life has one process after another. */
export type ProcessState =
  /** There is no life, or it is over: nothing comes up until the supervisor begins another one. */
  | "down"
  /** The life has no process, and gets one when it is wanted. */
  | "hibernated"
  /** A process is wanted, and waits in line for a slot. */
  | "queued"
  /** A process is being started. */
  | "starting"
  /** The process is up. */
  | "up"
  /** The process is being ended; another one follows in the same life. */
  | "replacing"
  /** The process is being ended; none follows until one is wanted. */
  | "hibernating"
  /** The supervisor ends the life, and the process with it. */
  | "stopping";

export type ProcessEvent =
  /** The supervisor begins a life. */
  | { readonly type: "begin" }
  /** A process is wanted, and there is no slot. */
  | { readonly type: "queue" }
  /** A process is no longer wanted. */
  | { readonly type: "leave" }
  /** There is a slot. */
  | { readonly type: "start" }
  /** The handshake is done. */
  | { readonly type: "up" }
  /** Another process is to take the place of this one. */
  | { readonly type: "replace" }
  /** The process has nothing to do. */
  | { readonly type: "hibernate" }
  /** The supervisor ends the life. */
  | { readonly type: "stop" }
  /** The process is gone, or did not come up; `asked` says whether it ended in good order because it was told to. */
  | { readonly type: "gone"; readonly asked: boolean };

/** The state after `event`. What cannot happen in `state` leaves it as it is. */
export function nextProcessState(state: ProcessState, event: ProcessEvent): ProcessState {
  switch (event.type) {
    case "begin":
      return "hibernated";
    case "queue":
      return state === "hibernated" ? "queued" : state;
    case "leave":
      return state === "queued" ? "hibernated" : state;
    case "start":
      return state === "hibernated" || state === "queued" ? "starting" : state;
    case "up":
      return state === "starting" ? "up" : state;
    case "replace":
      // One that ends in order to hibernate may be found to have a key that was refused.
      return state === "up" || state === "hibernating" ? "replacing" : state;
    case "hibernate":
      return state === "up" ? "hibernating" : state;
    case "stop":
      return state === "down" ? state : "stopping";
    case "gone":
      return afterProcess(state, event.asked);
  }
}

/** The state once the process is gone, or did not come up. */
function afterProcess(state: ProcessState, asked: boolean): ProcessState {
  switch (state) {
    case "hibernated":
    case "queued":
      return state;
    case "replacing":
      return "starting";
    case "hibernating":
      return asked ? "hibernated" : "down";
    default:
      return "down";
  }
}
