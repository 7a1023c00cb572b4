import type { Clock, Timer } from "../clock.ts";

/** How late a timer may be before the host counts as held up. */
const HOST_LAG_MS = 500;

/** Whether a timer this late means that the host was held up: stopped, frozen with its container, or overloaded. */
export function isHeldUp(lateMs: number): boolean {
  return lateMs > HOST_LAG_MS;
}

/** How much of a wait to count at a time. */
const SLICE_MS = 1_000;

/**
 * How much to count for a slice in which the host was held up. A host that always is waits ten times as long, not
 * forever.
 */
const HELD_UP_MS = 100;

/**
 * Calls `callback` once another process has had `ms` milliseconds to answer. Time in which this host was held up counts
 * for little, because answers lie unread, and the other process may have been held up, too.
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

/** Returns a clock whose timers wait as {@link scheduleDeadline} does. */
export function patient(clock: Clock): Pick<Clock, "schedule"> {
  return { schedule: (ms, callback, options) => scheduleDeadline(clock, ms, callback, options) };
}
