/** How many restarts are borne within how many seconds. */
export interface Intensity {
  readonly maxRestarts: number;
  readonly maxSeconds: number;
}

/** The restarts that still count, newest first, and whether they are too many. */
export interface RestartCount {
  readonly restarts: readonly number[];
  readonly exceeded: boolean;
}

/**
 * Counts one more restart at `now` (monotonic milliseconds) onto `earlier` ones, newest first.
 *
 * As in OTP the period is closed: a restart exactly `maxSeconds` ago still counts, and only more than `maxRestarts`
 * are too many. No more than `maxRestarts + 1` are kept.
 */
export function addRestart(earlier: readonly number[], now: number, limit: Intensity): RestartCount {
  const since = now - limit.maxSeconds * 1_000;
  const restarts = [now, ...earlier.filter((at) => at >= since)];
  return { restarts, exceeded: restarts.length > limit.maxRestarts };
}
