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

/** The options of a supervisor. Whoever takes them from outside has to check their values. */
export interface SupervisorSpec {
  /** Default `one_for_one`. */
  readonly strategy?: Strategy;
  /** How many restarts within `maxSeconds` are allowed; one more is too many. Default 3. */
  readonly maxRestarts?: number;
  /** The length in seconds of the period in which restarts are counted. Default 5. */
  readonly maxSeconds?: number;
  /**
   * What happens after too many restarts, after an exit that no restart would mend, and when more than five starts in a row,
   * and more than `maxRestarts`, have failed. `quarantine` counts the restarts of each child on its own and quarantines that
   * child; `escalate`, as in OTP, counts them together, stops all children and ends the supervisor. Default `quarantine`.
   */
  readonly onMaxRestarts?: "quarantine" | "escalate";
  /** Default `never`. */
  readonly autoShutdown?: AutoShutdown;
  /** How many children the supervisor may have at a time, running or not. Default: no limit. */
  readonly maxChildren?: number;
  /**
   * What happens when the start of a child fails while the supervisor starts. `continue`: the other children start, and the
   * supervisor retries this one alone, without its siblings, until it runs or is quarantined. `abort`, as in OTP: the
   * supervisor stops the children that run, and its own start fails. Default `continue`.
   */
  readonly onStartFailure?: "continue" | "abort";
}

/** How many restarts are allowed within how many seconds. */
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

/** What a supervisor needs from outside. */
export interface SupervisorDeps {
  readonly clock: Clock;
  /** A number from 0 to below 1, for jitter. */
  random(): number;
  /**
   * Calls off the start of the supervisor: it stops the children that run, and its start rejects. Has no effect once the
   * supervisor runs. A supervisor that is a child passes on the signal of its `StartContext`.
   */
  readonly signal?: AbortSignal;
}
