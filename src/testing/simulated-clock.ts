import type { Clock, Timer } from "../clock.ts";

interface Pending {
  readonly at: number;
  readonly callback: () => void;
}

/**
 * Lets everything run that is ready to run. Not a sleep: it returns once all microtasks are done, however many
 * follow.
 */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A clock that stands still until a test moves it. Both times begin at 0. */
export class SimulatedClock implements Clock {
  #time = 0;
  #pending: Pending[] = [];

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  schedule(ms: number, callback: () => void): Timer {
    const entry = { at: this.#time + ms, callback };
    this.#pending.push(entry);
    return { cancel: () => this.#forget(entry) };
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#pending.length;
  }

  /** Moves time on; each timer fires at its own time, and what it sets off happens before the next one fires. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms;
    await settle();
    for (let next = this.#nextUntil(end); next !== undefined; next = this.#nextUntil(end)) {
      this.#forget(next);
      this.#time = next.at;
      next.callback();
      await settle();
    }
    this.#time = end;
  }

  #nextUntil(end: number): Pending | undefined {
    const due = this.#pending.filter(({ at }) => at <= end);
    return due.toSorted((one, other) => one.at - other.at)[0];
  }

  #forget(entry: Pending): void {
    this.#pending = this.#pending.filter((other) => other !== entry);
  }
}
