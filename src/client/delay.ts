/** Resolves after `ms` milliseconds. @throws the signal's reason as soon as it is aborted */
export async function delay(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal?.reason);
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Returns the delay before the next attempt, in milliseconds: at least what the server asks for, doubled by attempt, with jitter. */
export function backoff(attempt: number, retryAfterMs = 0, most = 10_000): number {
  const growing = Math.min(most, 200 * 2 ** attempt);
  return Math.max(retryAfterMs, growing * (0.5 + Math.random() / 2));
}
