import { SimulatedClock } from "./supervision/simulated-clock.ts";

/** A clock whose time of day can be set, as somebody sets it, or as it goes on while a machine is suspended. */
export class SetClock extends SimulatedClock {
  #aheadMs = 0;

  override now(): number {
    return super.now() + this.#aheadMs;
  }

  /** Sets the time of day so much forward, or back. */
  set(ms: number): void {
    this.#aheadMs += ms;
  }
}
