import type { MemoryReader } from "../claude/memory.ts";
import type { Clock, Timer } from "../clock.ts";

/** The interval of the measurements, in milliseconds. One measurement costs the kernel about a millisecond per process. */
const MEASURE_MS = 10_000;

/** Called with the memory of an activation, in bytes. */
export type Measured = (bytes: number) => void;

/** Measures the memory of all activations periodically. */
export class MemoryWatch {
  readonly #clock: Clock;
  readonly #read: MemoryReader;
  readonly #watched = new Map<string, Measured>();
  readonly #round: () => void;
  #timer: Timer | undefined;

  /** @param round called after each round of measurements */
  constructor(clock: Clock, read: MemoryReader, round: () => void) {
    this.#clock = clock;
    this.#read = read;
    this.#round = round;
  }

  /** Adds the activation with this marker to the measurements. */
  watch(marker: string, measured: Measured): void {
    this.#watched.set(marker, measured);
    this.#timer ??= this.#schedule();
  }

  unwatch(marker: string): void {
    this.#watched.delete(marker);
    if (this.#watched.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(): Timer {
    return this.#clock.schedule(MEASURE_MS, () => void this.#measure(), { background: true });
  }

  async #measure(): Promise<void> {
    // A failed read is retried in the next round.
    const sizes = await this.#read(new Set(this.#watched.keys())).catch(() => new Map<string, number>());
    for (const [marker, bytes] of sizes) this.#watched.get(marker)?.(bytes);
    this.#round();
    this.#timer?.cancel();
    this.#timer = this.#watched.size === 0 ? undefined : this.#schedule();
  }
}
