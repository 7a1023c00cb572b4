import { SimulatedClock } from "./supervision/simulated-clock.ts";

/** A simulated clock whose time of day can be set, as a user sets it, or as it moves while a machine is suspended. */
export class SetClock extends SimulatedClock {
  #aheadMs = 0;

  override now(): number {
    return super.now() + this.#aheadMs;
  }

  /** Moves the time of day forward, or back if `ms` is negative. */
  set(ms: number): void {
    this.#aheadMs += ms;
  }
}
