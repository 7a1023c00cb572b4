import type { Clock } from "../clock.ts";
import type { ChildSlot } from "./child-slot.ts";

/**
 * Stops children in reverse start order, one after the other, waits for a delay, and starts children in start order, one
 * after the other. A first start, a restart, and a restart of a group are all sequences.
 */
export class RestartSequence {
  readonly #stops: readonly ChildSlot[];
  /** The children still to start, in start order. */
  readonly #starts: Set<ChildSlot>;
  readonly #delay: number;
  readonly #clock: Clock;
  readonly #waited: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #cancelled = false;

  /** Both lists are in start order; `delay` is in milliseconds. No other sequence may start any of `starts`. */
  constructor(stops: readonly ChildSlot[], starts: readonly ChildSlot[], delay: number, clock: Clock) {
    this.#stops = stops;
    this.#starts = new Set(starts);
    this.#delay = delay;
    this.#clock = clock;
  }

  /** Runs until all starts have ended, or until it is cancelled. */
  async run(): Promise<void> {
    for (const slot of this.#stops.toReversed()) {
      if (slot.isAlive) await slot.stop();
      if (this.#cancelled) return;
    }
    if (this.#delay > 0) await this.#wait();
    for (const slot of [...this.#starts]) {
      if (this.#starts.has(slot)) await slot.start();
    }
  }

  /** Skips the remaining delay. */
  skipDelay(): void {
    this.#waited.resolve();
  }

  /** Removes a child that has started, has failed to start, or must not start. */
  remove(slot: ChildSlot): void {
    this.#starts.delete(slot);
    if (this.#starts.size === 0) this.skipDelay();
  }

  /** Ends the sequence at once, and returns the children that it has not yet stopped or started. */
  cancel(): ChildSlot[] {
    const left = [...this.#stops.filter((slot) => slot.state.name === "terminating"), ...this.#starts];
    this.#cancelled = true;
    for (const slot of this.#starts) this.remove(slot);
    return left;
  }

  async #wait(): Promise<void> {
    const timer = this.#clock.schedule(this.#delay, () => this.#waited.resolve());
    await this.#waited.promise;
    timer.cancel();
  }
}
