/** How long to wait before a restart, with every field decided. Milliseconds, see {@link BackoffOptions}. */
export interface Backoff {
  readonly base: number;
  readonly factor: number;
  readonly max: number;
  readonly jitter: number;
}

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
