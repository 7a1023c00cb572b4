import type { Clock } from "../clock.ts";

/** What a supervisor needs from outside. */
export interface SupervisorDeps {
  readonly clock: Clock;
  /** A number from 0 to below 1, for jitter. */
  random(): number;
  /**
   * Calls the start of the supervisor off: what is up is stopped and the start rejects. Without effect once the
   * supervisor is up. Pass on the signal of the {@link StartContext} where a supervisor is the child of another.
   */
  readonly signal?: AbortSignal;
}
