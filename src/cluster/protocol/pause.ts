import type { Clock } from "../../clock.ts";

/** How long is waited before what has failed is asked once more, in milliseconds: longer each time. */
export const RETRY = { first: 20, factor: 1.6, most: 200 } as const;

/** Resolves after `ms` milliseconds, or as soon as the signal is aborted. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const over = (): void => resolve();
  const timer = clock.schedule(ms, over);
  signal.addEventListener("abort", over, { once: true });
  await promise;
  timer.cancel();
  signal.removeEventListener("abort", over);
}
