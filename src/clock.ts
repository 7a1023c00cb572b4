/** The source of time. All code that waits or reads the time takes a `Clock`, so that tests can control it. */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch, for display and records. */
  now(): number;
  /** Monotonic milliseconds, for measurements and deadlines. */
  monotonic(): number;
  /**
   * Calls `callback` once after `ms` milliseconds. Accepts any finite delay, even above the 24.8 days of `setTimeout`. The timer keeps
   * the process alive unless `background` is set.
   */
  schedule(ms: number, callback: () => void, options?: { background?: boolean }): Timer;
}

/** A scheduled call. */
export interface Timer {
  /** Cancels the call. Has no effect after the call or a second time. */
  cancel(): void;
}

/** The interval at which a wait for a wall-clock time checks the clock, which may be set or stop while the machine is suspended. */
const CHECK_MS = 30_000;

/**
 * Calls `callback` once when the wall clock reaches `at`, or when the initially remaining time has passed on the monotonic clock,
 * whichever is first. Neither a suspended machine nor a clock that is set back prolongs the wait.
 */
export function scheduleUntil(
  clock: Clock,
  at: number,
  callback: () => void,
  options: { readonly background?: boolean } = {},
): Timer {
  const due = clock.monotonic() + Math.max(0, at - clock.now());
  let timer: Timer;
  const next = (): void => {
    const left = Math.max(0, Math.min(due - clock.monotonic(), at - clock.now()));
    timer = clock.schedule(Math.min(left, CHECK_MS), left > CHECK_MS ? next : callback, options);
  };
  next();
  return { cancel: () => timer.cancel() };
}

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. With `background` the wait does not keep the process alive. */
export async function pause(
  clock: Pick<Clock, "schedule">,
  ms: number,
  { signal, background = false }: { readonly signal?: AbortSignal; readonly background?: boolean } = {},
): Promise<void> {
  if (signal?.aborted === true) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = (): void => resolve();
  const timer = clock.schedule(ms, wake, { background });
  signal?.addEventListener("abort", wake, { once: true });
  await promise;
  timer.cancel();
  signal?.removeEventListener("abort", wake);
}

/** The longest delay of `setTimeout`; a longer one fires at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(ms, callback, options = {}) {
    let remaining = Math.max(0, ms);
    let handle: NodeJS.Timeout;
    const next = (): void => {
      const delay = Math.min(remaining, LONGEST_DELAY);
      remaining -= delay;
      handle = setTimeout(remaining > 0 ? next : callback, delay);
      if (options.background === true) handle.unref();
    };
    next();
    return { cancel: () => clearTimeout(handle) };
  },
};
