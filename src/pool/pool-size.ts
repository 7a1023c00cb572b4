/** How large a pool is to be, how large it is, and who waits. */
export interface PoolSize {
  readonly min: number;
  readonly max: number;
  /** How many members take turns. */
  readonly fit: number;
  /** How many of those are about to be free: they are being added, or made ready for the next one. */
  readonly coming: number;
  /** How many wait for a member; none of those that are free will do for them. */
  readonly waiting: number;
}

/** How many members are to be added: up to `min`, and one for each who waits in vain, up to `max`. */
export function missingMembers({ min, max, fit, coming, waiting }: PoolSize): number {
  const wanted = Math.max(min, Math.min(max, fit + Math.max(0, waiting - coming)));
  return Math.max(0, wanted - fit);
}

/**
 * In how many milliseconds one that has been free for `freeMs` is to go: 0 for now, `undefined` for never. One that is above
 * `max` goes at once, one above `min` when nobody has needed it for `shrinkAfterMs`, and nobody waits.
 */
export function leavesIn(
  { min, max, fit, waiting }: Omit<PoolSize, "coming">,
  freeMs: number,
  shrinkAfterMs: number,
): number | undefined {
  if (fit > max) return 0;
  if (fit <= min) return undefined;
  const leftMs = Math.max(0, shrinkAfterMs - freeMs);
  return waiting > 0 ? Math.max(1, leftMs) : leftMs;
}
