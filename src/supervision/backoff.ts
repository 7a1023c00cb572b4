/** The delays before the restarts of a series. */
export interface Backoff {
  /** Milliseconds before the second restart; the first has no delay. Above 0. */
  readonly base: number;
  /** The ratio of a delay to the previous one. At least 1. */
  readonly factor: number;
  /** The longest delay in milliseconds, before jitter. */
  readonly max: number;
  /** The maximum random deviation, as a share of the delay, from 0 to below 1. */
  readonly jitter: number;
}

/** The back-off of children. It never stays at 0, so that a child that crashes at once cannot starve the event loop. */
export const CHILD_BACKOFF: Backoff = { base: 100, factor: 2, max: 30_000, jitter: 0.2 };

/**
 * Returns the delay in milliseconds before restart number `restart` of a series of crashes, counted from 1.
 *
 * The first restart has no delay, because most crashes do not repeat. From the second on the delay starts at `base` and grows by `factor`
 * up to `max`. Jitter then varies it by up to `jitter` of itself in either direction, so that children that crashed together do not
 * restart together. `random` returns a number from 0 to below 1; the first restart does not call it.
 */
export function backoffDelay(restart: number, backoff: Backoff, random: () => number): number {
  if (restart <= 1) return 0;
  const wait = Math.min(backoff.max, backoff.base * backoff.factor ** (restart - 2));
  return wait * (1 + backoff.jitter * (2 * random() - 1));
}
