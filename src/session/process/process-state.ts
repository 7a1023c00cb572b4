/** The state of a session's process. A session has one life at a time, and a life has one process after another. */
export type ProcessState =
  /** No life: nothing starts until the supervisor begins another one. */
  | "down"
  /** The life has no process; the next demand starts one. */
  | "hibernated"
  /** A process is needed and waits for a slot. */
  | "queued"
  /** A process is starting. */
  | "starting"
  /** The process is up. */
  | "up"
  /** The process is ending, and another one follows in the same life. */
  | "replacing"
  /** The process is ending, and the next demand starts another one. */
  | "hibernating"
  /** The supervisor ends the life and its process. */
  | "stopping";

export type ProcessEvent =
  /** The supervisor begins a life. */
  | { readonly type: "begin" }
  /** A process is needed, and no slot is free. */
  | { readonly type: "queue" }
  /** No process is needed any more. */
  | { readonly type: "leave" }
  /** There is a slot. */
  | { readonly type: "start" }
  /** The handshake is done. */
  | { readonly type: "up" }
  /** The process is to be replaced. */
  | { readonly type: "replace" }
  /** The process is idle and is to end. */
  | { readonly type: "hibernate" }
  /** The supervisor ends the life. */
  | { readonly type: "stop" }
  /** The process is gone, or its start failed; `asked` tells whether it ended in good order on request. */
  | { readonly type: "gone"; readonly asked: boolean };

/** Returns the state after `event`. An event that does not apply in `state` leaves it unchanged. */
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
      // While a process ends to hibernate, its key may turn out to be refused.
      return state === "up" || state === "hibernating" ? "replacing" : state;
    case "hibernate":
      return state === "up" ? "hibernating" : state;
    case "stop":
      return state === "down" ? state : "stopping";
    case "gone":
      return afterProcess(state, event.asked);
  }
}

/** Returns the state once the process is gone, or its start failed. */
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
