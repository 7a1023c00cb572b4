import type { Clock, Timer } from "../clock.ts";

interface Pending {
  readonly at: number;
  readonly callback: () => void;
}

/** Resolves once the microtask queue is empty, including microtasks queued meanwhile. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A clock that only the test advances. Wall-clock and monotonic time start at 0. */
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

  /** The number of pending timers. */
  get timers(): number {
    return this.#pending.length;
  }

  /** Advances time by `ms`. Timers fire in order at their own times; the effects of each settle before the next fires. */
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
