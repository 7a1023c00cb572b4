/**
 * Where time comes from. Everything that waits or reads the time takes a `Clock`, so that a test can hold it.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the epoch: for people and records. */
  now(): number;
  /** Milliseconds that only ever grow: for measuring and for deadlines. */
  monotonic(): number;
  /**
   * Calls `callback` once after `ms` milliseconds. Any finite delay is honoured, also one above the 24.8 days that
   * `setTimeout` can count. The timer keeps the process alive unless `background` is set.
   */
  schedule(ms: number, callback: () => void, options?: { background?: boolean }): Timer;
}

/** A scheduled call. Cancelling twice, or after the call, does nothing. */
export interface Timer {
  /** Takes the call back. */
  cancel(): void;
}

/** How often a wait for a time of day looks at the clock, which may have been set, or may have stood still with the machine. */
const LOOK_MS = 30_000;

/**
 * Calls `callback` once when the wall clock says `at`, or when as much time has passed as there was left until then, whichever is
 * first. So a machine that was suspended is not late by as long, and a clock that is set back does not make the wait longer.
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
    timer = clock.schedule(Math.min(left, LOOK_MS), left > LOOK_MS ? next : callback, options);
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

/** The longest delay that `setTimeout` counts; a longer one fires at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** The machine's own clock. */
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
