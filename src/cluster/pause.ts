import type { Clock } from "../clock.ts";

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
