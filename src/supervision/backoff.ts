/** How long to wait before a restart, as a series of crashes goes on. */
export interface Backoff {
  /** Milliseconds before the second restart; the first one waits for nothing. Above 0. */
  readonly base: number;
  /** By how much each further wait is longer than the one before. At least 1. */
  readonly factor: number;
  /** The longest wait in milliseconds, before jitter. */
  readonly max: number;
  /** The share of the wait by which chance may shorten or lengthen it, from 0 to below 1. */
  readonly jitter: number;
}

/** How long a child waits. A wait of nothing, time and again, would let one that crashes at once starve the event loop. */
export const CHILD_BACKOFF: Backoff = { base: 100, factor: 2, max: 30_000, jitter: 0.2 };

/**
 * The milliseconds to wait before restart number `restart` of a series of crashes, counted from 1.
 *
 * The first restart waits for nothing, since most crashes do not repeat. From the second on the wait starts at `base`
 * and grows by `factor` up to `max`; chance then moves it by up to `jitter` of itself either way, so that children
 * that fell together do not rise together. `random` gives a number from 0 to below 1 and is not asked before the
 * second restart.
 */
export function backoffDelay(restart: number, backoff: Backoff, random: () => number): number {
  if (restart <= 1) return 0;
  const wait = Math.min(backoff.max, backoff.base * backoff.factor ** (restart - 2));
  return wait * (1 + backoff.jitter * (2 * random() - 1));
}
