import { type Clock, pause } from "../../clock.ts";

/** How long a transaction of pruning should take, in milliseconds. Other writes wait for it. */
const STEP_MS = 5;

/** The limits of the number of rows that a transaction deletes. */
const FEWEST = 5;
const MOST = 100;

/** The longest rest, in milliseconds. */
const MOST_REST_MS = 1_000;

/**
 * Spaces out the transactions of pruning, so that other writes wait only briefly: it adapts the number of rows to the
 * time that the last transaction took, and leaves the file alone for as long before the next one.
 */
export class PruningPace {
  readonly #clock: Clock;
  #rows = FEWEST;
  #restMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many rows the next transaction may delete. */
  get rows(): number {
    return this.#rows;
  }

  /** Rests, and runs the next transaction. */
  async step<Result>(transaction: () => Promise<Result>): Promise<Result> {
    // Timers are no more precise.
    if (this.#restMs >= 1) await pause(this.#clock, this.#restMs, { background: true });
    const since = this.#clock.monotonic();
    try {
      return await transaction();
    } finally {
      this.#took(this.#clock.monotonic() - since);
    }
  }

  #took(ms: number): void {
    this.#restMs = Math.min(ms, MOST_REST_MS);
    // It grows slowly: a transaction may be fast because it found nothing to delete.
    const fitting = ms * 2 <= STEP_MS ? this.#rows * 2 : Math.floor((this.#rows * STEP_MS) / ms);
    this.#rows = Math.min(Math.max(fitting, FEWEST), MOST);
  }
}
