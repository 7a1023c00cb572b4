import { withoutUndefined } from "../fields.ts";

/**
 * When a supervisor restarts a child that exited.
 *
 * - `permanent`: always.
 * - `transient`: only after an `abnormal` exit.
 * - `temporary`: never; the supervisor deletes its spec.
 */
export type Restart = "permanent" | "transient" | "temporary";

/**
 * How a supervisor stops a child through {@link Child.stop}: `brutal_kill` kills it at once, a number is its deadline in milliseconds,
 * `infinity` has no deadline. A child that misses its deadline gets a second `stop` with `brutal_kill`.
 */
export type Shutdown = "brutal_kill" | "infinity" | number;

/** Whether a child is a worker or a supervisor. Determines the default of `shutdown`, and how the child is counted. */
export type ChildType = "worker" | "supervisor";

/**
 * What an `abnormal` exit means for the restart intensity.
 *
 * - `count`: the restart counts.
 * - `free`: the restart does not count, for faults that the child did not cause.
 * - `quarantine`: the child is quarantined at once, for faults that a restart cannot repair. With `onMaxRestarts: "escalate"` the
 *   supervisor ends instead.
 */
export type Disposition = "count" | "free" | "quarantine";

/** Why a child exited. */
export interface ChildExit {
  /** `normal` and `shutdown` exits are intended; all others are `abnormal`. */
  readonly reason: "normal" | "shutdown" | "abnormal";
  /** Read only when `reason` is `abnormal`. Default `count`. */
  readonly disposition?: Disposition;
  /** The cause, passed unchanged to `lastExits` of `whichChildren` and to events. */
  readonly cause?: unknown;
}

/** Learns of the exit of a child. */
export interface ExitListener {
  /** Called once, when the child is gone. Must not throw. */
  exited(exit: ChildExit): void;
}

/** A running child. A supervisor is a child too, so supervisors nest. */
export interface Child {
  /** Resolves once the child is gone. Should not reject; a rejection is an `abnormal` exit. */
  readonly exited: Promise<ChildExit>;
  /**
   * Calls `listener` once the child is gone, never during this call or a call of `stop`. A supervisor uses it in place of `exited` where
   * a child has it: the listener takes a tenth of the memory of a promise and its reactions.
   */
  onExit?(listener: ExitListener): void;
  /**
   * Ends the child and resolves once it is gone. Must be idempotent. A rejection means that the child is gone but something failed: the
   * `terminated` event carries the error, and the supervisor continues.
   */
  stop(shutdown: Shutdown): Promise<void>;
}

/** The argument of a child's start. */
export interface StartContext {
  /** 0 for a first start, then the number of restarts in the current series of crashes. */
  readonly attempt: number;
  /** Aborts when the supervisor cancels this start. It then stops the child as soon as it runs. */
  readonly signal: AbortSignal;
}

/** An event for the listener of a child. */
export type ChildEvent =
  /** The child runs. `restarts` is 0 after a first start. */
  | { readonly type: "started"; readonly restarts: number }
  /** The child exited by itself. */
  | { readonly type: "exited"; readonly exit: ChildExit }
  /** The supervisor restarts the child in `delay` milliseconds, as restart number `attempt` of its series of crashes. */
  | { readonly type: "restarting"; readonly delay: number; readonly attempt: number }
  /** The start of the child failed. */
  | { readonly type: "start_failed"; readonly exit: ChildExit }
  /** The supervisor quarantined the child. */
  | { readonly type: "quarantined"; readonly lastExits: ChildInfo["lastExits"] }
  /** The supervisor stopped the child. `error` is the rejection of its `stop`, if any. */
  | { readonly type: "terminated"; readonly error?: unknown }
  /** The supervisor ends with all its children because this child exceeded the restart intensity. */
  | { readonly type: "escalated"; readonly exit: ChildExit }
  /** The supervisor ends because this significant child exited. */
  | { readonly type: "auto_shutdown"; readonly exit: ChildExit };

/**
 * How to start, restart and stop one child. Callers validate the values.
 *
 * @example
 * const ticker: ChildSpec = { id: "ticker", start: () => startTicker(), restart: "transient", shutdown: 1_000 };
 */
export interface ChildSpec {
  /** The child's name within its supervisor. Not empty. */
  readonly id: string;
  /** Starts the child. A throw or rejection is an abnormal exit; a `disposition` on the thrown value counts. */
  start(context: StartContext): Promise<Child> | Child;
  /** Default `permanent`. */
  readonly restart?: Restart;
  /** Default 5,000 ms for a worker, `infinity` for a supervisor. */
  readonly shutdown?: Shutdown;
  /** Default `worker`. */
  readonly type?: ChildType;
  /** Whether the child's exit may end the supervisor, see `AutoShutdown`. Not for permanent children. Default `false`. */
  readonly significant?: boolean;
  /** Receives each event of the child, in order, each in a microtask of its own. The supervisor ignores its errors. */
  onEvent?(event: ChildEvent): void;
}

/** A child spec with its defaults filled in. */
export interface ChildSettings {
  readonly id: string;
  /** Its start and its listener may be methods. */
  readonly spec: Pick<ChildSpec, "start" | "onEvent">;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly type: ChildType;
  readonly significant: boolean;
}

const WORKER_SHUTDOWN = 5_000;

/** Fills in the defaults of a child spec. */
export function childSettings(spec: ChildSpec): ChildSettings {
  const { id, restart = "permanent", type = "worker", significant = false } = spec;
  const shutdown = spec.shutdown ?? (type === "supervisor" ? "infinity" : WORKER_SHUTDOWN);
  return { id, spec, restart, shutdown, type, significant };
}

/** An exit, and when the supervisor noticed it, in milliseconds since the epoch. */
export interface RecordedExit {
  readonly exit: ChildExit;
  readonly at: number;
}

/** A snapshot of a child. */
export interface ChildInfo {
  readonly id: string;
  /** The child while it runs. */
  readonly child: Child | undefined;
  /**
   * `restarting` lasts from the decision to restart until the child runs again. `terminated` includes the time in which the
   * supervisor stops the child.
   */
  readonly state: "running" | "starting" | "restarting" | "quarantined" | "terminated";
  readonly type: ChildType;
  readonly restart: Restart;
  readonly significant: boolean;
  /** The number of restarts in the current series of crashes. */
  readonly restarts: number;
  /** The last ten unexpected exits, including failed starts, oldest first. */
  readonly lastExits: readonly RecordedExit[];
  /** When the next restart is due, in milliseconds since the epoch, during back-off. */
  readonly retryAt?: number;
}

/** The exit of a child whose start threw, or whose `exited` rejected. A `disposition` on the thrown value counts. */
export function exitFromThrown(thrown: unknown): ChildExit {
  const disposition = dispositionOf(thrown);
  return withoutUndefined({ reason: "abnormal", cause: thrown, disposition });
}

/** The exit that `exited` resolved with. Untyped code may resolve with another value, which becomes the cause of an abnormal exit. */
export function exitFromResolved(value: unknown): ChildExit {
  return isExit(value) ? value : { reason: "abnormal", cause: value };
}

/** The cause of an exit as text. */
export function reasonOf(cause: unknown): string {
  if (typeof cause === "object" && cause !== null && "message" in cause) return String(cause.message);
  return cause === undefined ? "no reason given" : String(cause);
}

function dispositionOf(thrown: unknown): Disposition | undefined {
  if (typeof thrown !== "object" || thrown === null || !("disposition" in thrown)) return undefined;
  const { disposition } = thrown;
  return disposition === "count" || disposition === "free" || disposition === "quarantine" ? disposition : undefined;
}

function isExit(value: unknown): value is ChildExit {
  if (typeof value !== "object" || value === null || !("reason" in value)) return false;
  return value.reason === "normal" || value.reason === "shutdown" || value.reason === "abnormal";
}
