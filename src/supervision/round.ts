import type { Clock } from "../clock.ts";
import type { ChildSlot } from "./child-slot.ts";

/**
 * One going down and coming up of children: those to be stopped are stopped in reverse order, one after the other,
 * then comes the wait, then those to be started are started in order, one after the other. A start, a restart and a
 * restart of many are all rounds.
 */
export class Round {
  readonly #stops: readonly ChildSlot[];
  /** Those still to be brought up, in start order. */
  readonly #pending: Set<ChildSlot>;
  readonly #delay: number;
  readonly #clock: Clock;
  readonly #waited: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #cancelled = false;

  /** Both lists in start order; `delay` in milliseconds. Each child to be started is in no other round. */
  constructor(stops: readonly ChildSlot[], starts: readonly ChildSlot[], delay: number, clock: Clock) {
    this.#stops = stops;
    this.#pending = new Set(starts);
    this.#delay = delay;
    this.#clock = clock;
    for (const slot of starts) slot.round = this;
  }

  /** Carries the round out, until its end or until it is cancelled. */
  async run(): Promise<void> {
    for (const slot of this.#stops.toReversed()) {
      if (slot.alive) await slot.halt();
      if (this.#cancelled) return;
    }
    if (this.#delay > 0) await this.#wait();
    for (const slot of [...this.#pending]) {
      if (this.#pending.has(slot)) await slot.launch();
    }
  }

  /** Does without the wait, or what is left of it. */
  hurry(): void {
    this.#waited.resolve();
  }

  /** Takes a child out that came up, failed to, or is no longer wanted. */
  drop(slot: ChildSlot): void {
    slot.round = undefined;
    this.#pending.delete(slot);
    if (this.#pending.size === 0) this.hurry();
  }

  /** Ends the round where it stands, and gives back whom it had still to stop or start. */
  cancel(): ChildSlot[] {
    const left = [...this.#stops.filter((slot) => slot.state.name === "leaving"), ...this.#pending];
    this.#cancelled = true;
    for (const slot of this.#pending) this.drop(slot);
    return left;
  }

  async #wait(): Promise<void> {
    const timer = this.#clock.schedule(this.#delay, () => this.#waited.resolve());
    await this.#waited.promise;
    timer.cancel();
  }
}
