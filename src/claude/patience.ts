import type { Clock, Timer } from "../clock.ts";

/** How late a timer may be. */
const HOST_LAG_MS = 500;

/** Whether this host was held up where a timer is so late: stopped, frozen with its container, or too busy to look. */
export function isHeldUp(lateMs: number): boolean {
  return lateMs > HOST_LAG_MS;
}

/** How much of a wait is counted at a time. */
const SLICE_MS = 1_000;

/** How much is counted where this host was held up. A host that always is waits for ten times as long, and not for ever. */
const HELD_UP_MS = 100;

/**
 * Calls `callback` when another process has had `ms` milliseconds to say something. Time in which this host was held up counts for
 * little: what was said meanwhile lies unread, or the other was held up as well.
 */
export function scheduleDeadline(
  clock: Clock,
  ms: number,
  callback: () => void,
  options: { readonly background?: boolean } = {},
): Timer {
  let left = ms;
  let timer: Timer;
  const next = (): void => {
    const slice = Math.min(left, SLICE_MS);
    const due = clock.monotonic() + slice;
    timer = clock.schedule(
      slice,
      () => {
        left -= isHeldUp(clock.monotonic() - due) ? Math.min(slice, HELD_UP_MS) : slice;
        if (left > 0) next();
        else callback();
      },
      options,
    );
  };
  next();
  return { cancel: () => timer.cancel() };
}

/** `clock`, whose timers give another process time as {@link scheduleDeadline} does. */
export function patient(clock: Clock): Pick<Clock, "schedule"> {
  return { schedule: (ms, callback, options) => scheduleDeadline(clock, ms, callback, options) };
}
