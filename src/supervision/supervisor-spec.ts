import type { Clock } from "../clock.ts";

/**
 * Which siblings a supervisor restarts together with a child that exited.
 *
 * - `one_for_one`: none.
 * - `one_for_all`: all of them.
 * - `rest_for_one`: those that were started after it.
 */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/**
 * Whether a supervisor ends by itself when significant children exit.
 *
 * - `never`: it does not, and no child may be significant.
 * - `any_significant`: with the first significant child that exits.
 * - `all_significant`: with the last one.
 */
export type AutoShutdown = "never" | "any_significant" | "all_significant";

/** The options of a supervisor. Callers validate the values. */
export interface SupervisorSpec {
  /** Default `one_for_one`. */
  readonly strategy?: Strategy;
  /** The number of restarts allowed within `maxSeconds`; one more exceeds the intensity. Default 3. */
  readonly maxRestarts?: number;
  /** The length of the counting period, in seconds. Default 5. */
  readonly maxSeconds?: number;
  /**
   * The reaction to too many restarts, to an exit that a restart cannot repair, and to more than five failed starts in a row (or more than
   * `maxRestarts`, if that is higher). `quarantine` counts restarts per child and quarantines the child. `escalate`, as in OTP, counts them
   * together, stops all children and ends the supervisor. Default `quarantine`.
   */
  readonly onMaxRestarts?: "quarantine" | "escalate";
  /** Default `never`. */
  readonly autoShutdown?: AutoShutdown;
  /** The maximum number of children, running or not. Default: unlimited. */
  readonly maxChildren?: number;
  /**
   * The reaction to a failed start of a child while the supervisor starts. `continue`: the other children start, and the supervisor
   * retries this one alone until it runs or is quarantined. `abort`, as in OTP: the supervisor stops the running children, and its own
   * start fails. Default `continue`.
   */
  readonly onStartFailure?: "continue" | "abort";
}

/** The restart intensity: the number of restarts allowed within a period. */
export interface Intensity {
  readonly maxRestarts: number;
  readonly maxSeconds: number;
}

/** The options of a supervisor with their defaults filled in. */
export interface SupervisorSettings {
  readonly strategy: Strategy;
  readonly intensity: Intensity;
  readonly onMaxRestarts: "quarantine" | "escalate";
  readonly autoShutdown: AutoShutdown;
  readonly maxChildren: number;
  readonly onStartFailure: "continue" | "abort";
}

/** Fills in the defaults. */
export function supervisorSettings(spec: SupervisorSpec): SupervisorSettings {
  const { strategy = "one_for_one", maxRestarts = 3, maxSeconds = 5, onMaxRestarts = "quarantine" } = spec;
  const { autoShutdown = "never", maxChildren = Number.POSITIVE_INFINITY, onStartFailure = "continue" } = spec;
  const intensity = { maxRestarts, maxSeconds };
  return { strategy, intensity, onMaxRestarts, autoShutdown, maxChildren, onStartFailure };
}

/** The dependencies of a supervisor. */
export interface SupervisorDeps {
  readonly clock: Clock;
  /** Returns a number from 0 to below 1, for jitter. */
  random(): number;
  /**
   * Cancels the start of the supervisor: it stops the running children, and its start rejects. Has no effect once the supervisor runs. A
   * nested supervisor passes the signal of its `StartContext`.
   */
  readonly signal?: AbortSignal;
}
