import type { Clock } from "./clock.ts";

/**
 * Resolves or rejects as `work` does, unless that takes longer than `ms` milliseconds; then resolves with what `late` returns, or
 * rejects with what it throws. Without `late` it resolves with undefined. Does not cancel `work`, whose later rejection is ignored.
 */
export function withDeadline<Value>(
  clock: Pick<Clock, "schedule">,
  ms: number,
  work: PromiseLike<Value> | undefined,
): Promise<Value | undefined>;
export function withDeadline<Value, Late>(
  clock: Pick<Clock, "schedule">,
  ms: number,
  work: PromiseLike<Value>,
  late: () => Late,
): Promise<Value | Late>;
export async function withDeadline<Value, Late>(
  clock: Pick<Clock, "schedule">,
  ms: number,
  work: PromiseLike<Value> | undefined,
  late?: () => Late,
): Promise<Value | Late | undefined> {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  const timer = clock.schedule(ms, resolve);
  try {
    return await Promise.race([work, expired.then(() => late?.())]);
  } finally {
    timer.cancel();
  }
}
