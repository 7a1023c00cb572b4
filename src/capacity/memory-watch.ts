import type { MemoryReader } from "../claude/memory.ts";
import type { Clock, Timer } from "../clock.ts";

/** How often memory is measured, in milliseconds. It costs about a millisecond of the kernel for each process. */
const MEASURE_MS = 10_000;

/** Called with the bytes that an activation uses. */
export type Measured = (bytes: number) => void;

/** Measures the memory of activations from time to time, all of them together. */
export class MemoryWatch {
  readonly #clock: Clock;
  readonly #read: MemoryReader;
  readonly #watched = new Map<string, Measured>();
  readonly #round: () => void;
  #timer: Timer | undefined;

  /** `round` is called when all have been measured. */
  constructor(clock: Clock, read: MemoryReader, round: () => void) {
    this.#clock = clock;
    this.#read = read;
    this.#round = round;
  }

  /** Measures the activation with this marker from now on. */
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
    // What cannot be read now may be read the next time.
    const sizes = await this.#read(new Set(this.#watched.keys())).catch(() => new Map<string, number>());
    for (const [marker, bytes] of sizes) this.#watched.get(marker)?.(bytes);
    this.#round();
    this.#timer?.cancel();
    this.#timer = this.#watched.size === 0 ? undefined : this.#schedule();
  }
}
