/** How long to wait before each restart of a series. */
export interface Backoff {
  /** Milliseconds before the second restart; the first one does not wait. Above 0. */
  readonly base: number;
  /** By how much each wait is longer than the one before. At least 1. */
  readonly factor: number;
  /** The longest wait in milliseconds, before jitter. */
  readonly max: number;
  /** The share of the wait by which chance shortens or lengthens it, from 0 to below 1. */
  readonly jitter: number;
}

/** The back-off of children. It never stays at 0, so that a child that crashes at once cannot starve the event loop. */
export const CHILD_BACKOFF: Backoff = { base: 100, factor: 2, max: 30_000, jitter: 0.2 };

/**
 * The milliseconds to wait before restart number `restart` of a series of crashes, counted from 1.
 *
 * The first restart does not wait, since most crashes do not repeat. From the second on the wait starts at `base` and grows
 * by `factor` up to `max`. Chance then moves it by up to `jitter` of itself either way, so that children that crashed
 * together do not restart together. `random` gives a number from 0 to below 1; the first restart does not call it.
 */
export function backoffDelay(restart: number, backoff: Backoff, random: () => number): number {
  if (restart <= 1) return 0;
  const wait = Math.min(backoff.max, backoff.base * backoff.factor ** (restart - 2));
  return wait * (1 + backoff.jitter * (2 * random() - 1));
}
