/** The size that a pool may have, the size that it has, and the callers that wait. */
export interface PoolSize {
  readonly min: number;
  readonly max: number;
  /** The number of members that take turns. */
  readonly usable: number;
  /** The number of those that are being added or reset, and so about to be free. */
  readonly pending: number;
  /** The number of callers that wait for a member and that no free member can serve. */
  readonly waiting: number;
}

/** Returns how many members to add: up to `min`, and up to `max` one for each waiting caller without a pending member. */
export function missingMembers({ min, max, usable, pending, waiting }: PoolSize): number {
  const wanted = Math.max(min, Math.min(max, usable + Math.max(0, waiting - pending)));
  return Math.max(0, wanted - usable);
}

/**
 * Returns in how many milliseconds to remove a member that has been free for `freeMs`: 0 for now, undefined for never. A member
 * above `max` goes at once; a member above `min` goes after `shrinkAfterMs`, unless callers wait.
 */
export function removableIn(
  { min, max, usable, waiting }: Omit<PoolSize, "pending">,
  freeMs: number,
  shrinkAfterMs: number,
): number | undefined {
  if (usable > max) return 0;
  if (usable <= min) return undefined;
  const leftMs = Math.max(0, shrinkAfterMs - freeMs);
  return waiting > 0 ? Math.max(1, leftMs) : leftMs;
}
