/**
 * When a child that ended is started again.
 *
 * - `permanent`: always.
 * - `transient`: only after an `abnormal` exit.
 * - `temporary`: never; its spec is forgotten when it ends.
 */
export type Restart = "permanent" | "transient" | "temporary";

/**
 * How a child is asked to stop: `brutal_kill` at once, a number of milliseconds it may take before it is killed, or
 * `infinity` for as long as it needs. The child carries it out, see {@link Child.stop}; one that was given a number and
 * is not gone by then is asked again with `brutal_kill`.
 */
export type Shutdown = "brutal_kill" | "infinity" | number;

/** Whether a child works or supervises others. Decides the default of `shutdown` and how it is counted. */
export type ChildType = "worker" | "supervisor";

/**
 * What happens to the count of restarts when a child exits `abnormal`.
 *
 * - `count`: the restart counts toward the intensity.
 * - `free`: the child is restarted and nothing is counted, for faults that are not the child's own.
 * - `quarantine`: the child is set aside at once, for faults that a restart cannot mend; where `onMaxRestarts` is `escalate`, the
 *   supervisor ends.
 */
export type Disposition = "count" | "free" | "quarantine";

/** Why a child ended. */
export interface ChildExit {
  /** `normal` and `shutdown` are ends that were meant, `abnormal` is every other. */
  readonly reason: "normal" | "shutdown" | "abnormal";
  /** Read only when `reason` is `abnormal`. Default `count`. */
  readonly disposition?: Disposition;
  /** The evidence, kept as it is and shown in `lastExits` of `whichChildren` and in events. */
  readonly cause?: unknown;
}

/** Something that runs and can be stopped. A supervisor is one too, so supervisors nest. */
export interface Child {
  /**
   * Resolves once, when the child is really gone. It should never reject; a rejection is read as an `abnormal` exit.
   */
  readonly exited: Promise<ChildExit>;
  /**
   * Ends the child and resolves when it is really gone. Must be idempotent. A rejection is taken as "gone, and not in
   * good order": it is reported in the `terminated` event and the supervisor goes on.
   */
  stop(shutdown: Shutdown): Promise<void>;
}

/** What a supervisor tells a child that it starts. */
export interface StartContext {
  /** 0 for a first start, then how many restarts there have been in the current series of crashes. */
  readonly attempt: number;
  /** Aborted when the supervisor no longer wants this start. A child that comes all the same is stopped at once. */
  readonly signal: AbortSignal;
}

/** What a supervisor tells the listener of a child. */
export type ChildEvent =
  /** A child is up. `restarts` is 0 for one that was started anew. */
  | { readonly type: "started"; readonly restarts: number }
  /** A running child ended without being asked to. */
  | { readonly type: "exited"; readonly exit: ChildExit }
  /** A child will be started again in `delay` milliseconds, as restart number `attempt` of its series of crashes. */
  | { readonly type: "restarting"; readonly delay: number; readonly attempt: number }
  /** A child did not come up. */
  | { readonly type: "start_failed"; readonly exit: ChildExit }
  /** A child was set aside; `exit` is the last of its exits. */
  | { readonly type: "quarantined"; readonly exit: ChildExit }
  /** A child was stopped by the supervisor. `error` is what its `stop` rejected with, if it did. */
  | { readonly type: "terminated"; readonly error?: unknown }
  /** The supervisor gave up because of this child and ends with all its children. */
  | { readonly type: "escalated"; readonly exit: ChildExit }
  /** The supervisor ends because of this significant child. */
  | { readonly type: "auto_shutdown"; readonly exit: ChildExit };

/**
 * How to start, restart and stop one child. Whoever takes it from outside has checked its values.
 *
 * @example
 * const ticker: ChildSpec = { id: "ticker", start: () => startTicker(), restart: "transient", shutdown: 1_000 };
 */
export interface ChildSpec {
  /** Names the child within its supervisor. Not empty. */
  readonly id: string;
  /** Brings the child up. A throw or rejection is an abnormal exit; a `disposition` on the thrown value is honoured. */
  start(context: StartContext): Promise<Child> | Child;
  /** Default `permanent`. */
  readonly restart?: Restart;
  /** Default 5,000 ms for a worker and `infinity` for a supervisor. */
  readonly shutdown?: Shutdown;
  /** Default `worker`. */
  readonly type?: ChildType;
  /**
   * Whether the child's own end may end the supervisor, see {@link AutoShutdown}. Never for permanent ones. Default
   * `false`.
   */
  readonly significant?: boolean;
  /** Told of what happens to the child, in order and shortly after it did. What it throws is ignored. */
  onEvent?(event: ChildEvent): void;
}
