import type { Clock } from "../clock.ts";

/** A moment by two clocks: the monotonic one stands still while a machine is suspended, the other one may be set. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

export function momentOf(clock: Clock): Moment {
  return { monotonic: clock.monotonic(), wall: clock.now() };
}

/**
 * For how many milliseconds a node may still act as the owner of what it owns, if its last renewal that succeeded was *sent* at
 * `sent`: others may take its sessions `staleMs` after the engine has got it, which was later. `marginMs` is the time it needs
 * to end its processes. Whichever clock has gone further counts, so that a clock that is set forward ends it too early, and
 * none makes it last too long.
 */
export function leaseLeftMs(sent: Moment, now: Moment, staleMs: number, marginMs: number): number {
  const gone = Math.max(now.monotonic - sent.monotonic, now.wall - sent.wall);
  return staleMs - marginMs - gone;
}
