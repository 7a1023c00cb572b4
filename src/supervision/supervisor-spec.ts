/**
 * Who else is restarted when a child ends.
 *
 * - `one_for_one`: nobody.
 * - `one_for_all`: all its siblings.
 * - `rest_for_one`: the siblings that were started after it.
 */
export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/**
 * Whether a supervisor ends by itself when significant children do.
 *
 * - `never`: it does not, and significant children are refused.
 * - `any_significant`: with the first significant child that ends.
 * - `all_significant`: with the last one.
 */
export type AutoShutdown = "never" | "any_significant" | "all_significant";

/** The options of a supervisor. Whoever takes them from outside has checked their values. */
export interface SupervisorSpec {
  /** Default `one_for_one`. */
  readonly strategy?: Strategy;
  /** How many restarts within `maxSeconds` are borne; one more is too many. Default 3. */
  readonly maxRestarts?: number;
  /** The length in seconds of the period in which restarts are counted. Default 5. */
  readonly maxSeconds?: number;
  /**
   * What happens when there are too many, when no restart would mend a child, or when more than five starts in a row, and more
   * than `maxRestarts`, have failed. `quarantine` counts each child for itself and sets that one aside; `escalate`, OTP's own,
   * counts them together, stops all children and ends the supervisor. Default `quarantine`.
   */
  readonly onMaxRestarts?: "quarantine" | "escalate";
  /** Default `never`. */
  readonly autoShutdown?: AutoShutdown;
  /** How many children the supervisor may know at a time, running or not. Default: no bound. */
  readonly maxChildren?: number;
  /**
   * What happens when a child does not come up at the start of the supervisor. `continue`: the others start, and this
   * one is tried again on its own, its siblings untouched, until it has been up once or is set aside. `abort`, OTP's
   * own: those that are up are stopped and the start fails. Default `continue`.
   */
  readonly onStartFailure?: "continue" | "abort";
}
