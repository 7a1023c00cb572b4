import { CastellanError, type ExitRecord } from "../../errors.ts";

/**
 * What a session waits for before it hands out its next turn: that a limit of use is lifted, that its account can pay again, or
 * that the API has less to do. `until` is in milliseconds since the epoch.
 */
export interface Wait {
  readonly for: "quota" | "billing" | "overload";
  readonly until: number;
}

/** What was stopped when a session was. */
export type Stopped = "session" | "supervisor" | "child";

/** What a session does at a moment. */
export type SessionState =
  /** Its first process, or one that was asked for by hand, comes up. */
  | { readonly name: "starting" }
  /** Its process ended, and another one comes up, at `retryAt` if that is known (milliseconds since the epoch). */
  | { readonly name: "restarting"; readonly retryAt?: number }
  /** Its process is up and has nothing to do. */
  | { readonly name: "idle" }
  /** A turn runs. */
  | { readonly name: "busy" }
  /** Its process is up, and its turns are held back. */
  | { readonly name: "waiting"; readonly wait: Wait }
  /** It has no process, and gets one when it is wanted. */
  | { readonly name: "hibernated" }
  /** Supervision has given up restarting it. */
  | { readonly name: "quarantined"; readonly lastExits: readonly ExitRecord[] }
  /** It has ended: for good, alone or with its supervisor, or as a child of a tree that may start it again. */
  | { readonly name: "stopped"; readonly as: Stopped };

export type SessionStateEvent =
  /** A process is being started. */
  | { readonly type: "begin" }
  /** The process is up. */
  | { readonly type: "ready" }
  | { readonly type: "turn_started" }
  /** The process is done with its turn, whatever came of it. */
  | { readonly type: "turn_ended" }
  /** Turns are held back. */
  | { readonly type: "hold"; readonly wait: Wait }
  /** Turns are no longer held back. */
  | { readonly type: "release" }
  /** It is to have no process until one is wanted. */
  | { readonly type: "hibernate" }
  /** The process is gone, or did not come up. */
  | { readonly type: "exited" }
  /** Supervision will start another one at this time. */
  | { readonly type: "retry"; readonly at: number }
  | { readonly type: "quarantine"; readonly lastExits: readonly ExitRecord[] }
  | { readonly type: "stop"; readonly as: Stopped };

/** The state after `event`. What cannot happen in `state` leaves it as it is. */
export function nextSessionState(state: SessionState, event: SessionStateEvent): SessionState {
  if (state.name === "stopped") {
    return event.type === "begin" && state.as === "child" ? { name: "starting" } : state;
  }
  switch (event.type) {
    case "begin":
      return state.name === "restarting" ? { name: "restarting" } : { name: "starting" };
    case "ready":
      return state.name === "starting" || state.name === "restarting" ? { name: "idle" } : state;
    case "turn_started":
      return state.name === "idle" ? { name: "busy" } : state;
    case "turn_ended":
      return state.name === "busy" ? { name: "idle" } : state;
    case "hold":
      return state.name === "idle" || state.name === "waiting" ? { name: "waiting", wait: event.wait } : state;
    case "release":
      return state.name === "waiting" ? { name: "idle" } : state;
    case "hibernate":
      return state.name === "starting" || state.name === "restarting" || state.name === "idle"
        ? { name: "hibernated" }
        : state;
    case "exited":
      return state.name === "quarantined" ? state : { name: "restarting" };
    case "retry":
      return state.name === "restarting" ? { name: "restarting", retryAt: event.at } : state;
    case "quarantine":
      return { name: "quarantined", lastExits: event.lastExits };
    case "stop":
      return { name: "stopped", as: event.as };
  }
}

/**
 * Why a session in this state takes no turns, if it does not.
 *
 * @param who the session, for messages
 * @param ended how its only process ended, if it was to have but one
 */
export function refusalOf(who: string, state: SessionState, ended: ExitRecord | undefined): CastellanError | undefined {
  if (state.name === "stopped") {
    if (state.as === "supervisor") {
      return new CastellanError("SUPERVISOR_STOPPED", `${who} has ended with its supervisor.`);
    }
    const how = ended === undefined || ended.class === "done" ? "has been stopped" : `has ended: ${ended.message}`;
    return new CastellanError("SESSION_STOPPED", `${who} ${how}.`);
  }
  if (state.name !== "quarantined") return undefined;
  const { lastExits } = state;
  const last = lastExits.at(-1)?.message ?? "unknown";
  const message = `${who} is quarantined after ${lastExits.length} failed starts or crashes, the last: ${last}. Mend the cause and call \`restartSession\`.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: { lastExits } });
}

/** A state that a session is waited for to reach. Each time that it has left it, it is waited for anew. */
export class StateMilestone {
  readonly #reached: (state: SessionState) => boolean;
  #pending: PromiseWithResolvers<SessionState> | undefined;
  #state: SessionState;

  /** `state` is the one that the session is in. */
  constructor(state: SessionState, reached: (state: SessionState) => boolean) {
    this.#state = state;
    this.#reached = reached;
  }

  /** The session is in this state now. */
  see(state: SessionState): void {
    this.#state = state;
    if (!this.#reached(state)) return;
    this.#pending?.resolve(state);
    this.#pending = undefined;
  }

  /** Resolves with the state in which it is reached; at once if it is. */
  async wait(): Promise<SessionState> {
    if (this.#reached(this.#state)) return this.#state;
    this.#pending ??= Promise.withResolvers();
    return await this.#pending.promise;
  }
}
