import { type Clock, systemClock } from "../../src/clock.ts";

/** Returns a clock on which waits pass `factor` times as fast. The wall clock is that of the machine, which signatures need. */
export function scaledClock(factor: number): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => systemClock.monotonic() * factor,
    schedule: (ms, callback, options) => systemClock.schedule(ms / factor, callback, options),
  };
}
