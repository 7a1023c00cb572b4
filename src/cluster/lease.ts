import type { Clock } from "../clock.ts";

/** A moment on two clocks: the monotonic one stops while the machine is suspended, the wall clock can be set. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

export function momentOf(clock: Clock): Moment {
  return { monotonic: clock.monotonic(), wall: clock.now() };
}

/**
 * Returns for how many milliseconds a node may still act as an owner. `sent` is when it sent its last successful
 * renewal: other nodes may take its sessions `staleMs` after the engine received it, which was later. `marginMs` is the
 * time it needs to end its processes. The clock that has advanced further counts, so that a clock that is set can only
 * shorten the lease.
 */
export function leaseLeftMs(sent: Moment, now: Moment, staleMs: number, marginMs: number): number {
  const elapsed = Math.max(now.monotonic - sent.monotonic, now.wall - sent.wall);
  return staleMs - marginMs - elapsed;
}
