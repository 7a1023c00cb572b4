import { CastellanError, type ExitRecord } from "../../errors.ts";

/**
 * Why turns are held back, and until when (milliseconds since the epoch): a usage limit, an unpaid account, or an
 * overloaded API.
 */
export interface TurnHold {
  readonly for: "quota" | "billing" | "overload";
  readonly until: number;
}

/** What was stopped and took the session with it. */
export type Stopped = "session" | "supervisor" | "child";

/** The lifecycle state of a session. */
export type SessionState =
  /** Its first process is starting, or one after a manual restart. */
  | { readonly name: "starting" }
  /**
   * Its process ended, and another one is starting, or will start at `retryAt` (milliseconds since the epoch), if
   * known.
   */
  | { readonly name: "restarting"; readonly retryAt?: number }
  /** Its process is up and idle. */
  | { readonly name: "idle" }
  /** A turn runs. */
  | { readonly name: "busy" }
  /** Its process is up, and turns are held back. */
  | { readonly name: "waiting"; readonly hold: TurnHold }
  /** It has no process; the next demand starts one. */
  | { readonly name: "hibernated" }
  /** Its supervisor gave up restarting it. */
  | { readonly name: "quarantined"; readonly lastExits: readonly ExitRecord[] }
  /** It ended: for good, by itself or with its supervisor, or as a child of a tree that may start it again. */
  | { readonly name: "stopped"; readonly as: Stopped };

export type SessionStateEvent =
  /** A process is being started. */
  | { readonly type: "begin" }
  /** The process is up. */
  | { readonly type: "ready" }
  | { readonly type: "turn_started" }
  /** The process finished its turn, with any outcome. */
  | { readonly type: "turn_ended" }
  /** Turns are held back. */
  | { readonly type: "hold"; readonly hold: TurnHold }
  /** Turns are no longer held back. */
  | { readonly type: "release" }
  /** The session drops its process until one is needed. */
  | { readonly type: "hibernate" }
  /** The process is gone, or its start failed. */
  | { readonly type: "exited" }
  /** The supervisor will start another process at this time. */
  | { readonly type: "retry"; readonly at: number }
  | { readonly type: "quarantine"; readonly lastExits: readonly ExitRecord[] }
  | { readonly type: "stop"; readonly as: Stopped };

const IDLE: SessionState = { name: "idle" };
const BUSY: SessionState = { name: "busy" };
const HIBERNATED: SessionState = { name: "hibernated" };

/** Returns the state after `event`. An event that does not apply in `state` leaves it unchanged. */
export function nextSessionState(state: SessionState, event: SessionStateEvent): SessionState {
  if (state.name === "stopped") {
    return event.type === "begin" && state.as === "child" ? { name: "starting" } : state;
  }
  switch (event.type) {
    case "begin":
      return state.name === "restarting" ? { name: "restarting" } : { name: "starting" };
    case "ready":
      return state.name === "starting" || state.name === "restarting" ? IDLE : state;
    case "turn_started":
      return state.name === "idle" ? BUSY : state;
    case "turn_ended":
      return state.name === "busy" ? IDLE : state;
    case "hold":
      return state.name === "idle" || state.name === "waiting" ? { name: "waiting", hold: event.hold } : state;
    case "release":
      return state.name === "waiting" ? IDLE : state;
    case "hibernate":
      return state.name === "starting" || state.name === "restarting" || state.name === "idle" ? HIBERNATED : state;
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

/** A state in which the session accepts no turns. */
export type RefusingState = Extract<SessionState, { readonly name: "stopped" | "quarantined" }>;

export function isRefusing(state: SessionState): state is RefusingState {
  return state.name === "stopped" || state.name === "quarantined";
}

/**
 * Returns why a session in this state accepts no turns.
 *
 * @param who the session, for messages
 * @param ended how the process ended, of a session with only one start
 */
export function refusalOf(who: string, state: RefusingState, ended: ExitRecord | undefined): CastellanError {
  if (state.name === "stopped") {
    if (state.as === "supervisor") {
      return new CastellanError("SUPERVISOR_STOPPED", `${who} has ended with its supervisor.`);
    }
    const how = ended === undefined || ended.class === "done" ? "has been stopped" : `has ended: ${ended.message}`;
    return new CastellanError("SESSION_STOPPED", `${who} ${how}.`);
  }
  const { lastExits } = state;
  const last = lastExits.at(-1)?.message ?? "unknown";
  const message = `${who} is quarantined after ${lastExits.length} failed starts or crashes, the last: ${last}. Fix the cause and call \`restartSession\`.`;
  return new CastellanError("SESSION_QUARANTINED", message, { details: { lastExits } });
}

/** A state that a caller waits for. */
export class AwaitedState {
  readonly #isAwaited: (state: SessionState) => boolean;
  readonly #reached: PromiseWithResolvers<SessionState> = Promise.withResolvers();

  constructor(isAwaited: (state: SessionState) => boolean) {
    this.#isAwaited = isAwaited;
  }

  /** Resolves with the first state that is awaited. */
  get state(): Promise<SessionState> {
    return this.#reached.promise;
  }

  /** Takes the next state of the session. Returns whether it is awaited. */
  see(state: SessionState): boolean {
    const isAwaited = this.#isAwaited(state);
    if (isAwaited) this.#reached.resolve(state);
    return isAwaited;
  }
}
