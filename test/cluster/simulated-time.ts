import type { Timer } from "../../src/clock.ts";
import { settle } from "../../src/testing/simulated-clock.ts";

interface Pending {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** The time of a simulation, in milliseconds from 0. The clocks in it need not agree with it. */
export class SimulatedTime {
  #now = 0;
  #order = 0;
  readonly #rounds: number;
  /** A heap, the next event first. */
  readonly #pending: Pending[] = [];

  /** @param rounds how often the effects of an event may wait for the next round of the event loop, plus one */
  constructor(rounds = 1) {
    this.#rounds = rounds;
  }

  get now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Timer {
    const pending: Pending = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    this.#push(pending);
    return {
      cancel: () => {
        pending.run = undefined;
      },
    };
  }

  /**
   * Advances time to `end`, or until `over` returns true after an event. All effects of one event happen before the
   * next event.
   */
  async run(end: number, over: () => boolean = () => false): Promise<void> {
    await this.#settle();
    while (!over()) {
      const next = this.#pending[0];
      if (next === undefined || next.at > end) {
        this.#now = end;
        return;
      }
      this.#pop();
      if (next.run === undefined) continue;
      this.#now = next.at;
      next.run();
      await this.#settle();
    }
  }

  async #settle(): Promise<void> {
    for (let round = 0; round < this.#rounds; round++) await settle();
  }

  #push(pending: Pending): void {
    const heap = this.#pending;
    let at = heap.length;
    heap.push(pending);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, pending)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = pending;
  }

  #pop(): void {
    const heap = this.#pending;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      if (left === undefined) break;
      const isRight = right !== undefined && isBefore(right, left);
      const first = isRight ? right : left;
      if (isBefore(last, first)) break;
      heap[at] = first;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

function isBefore(one: Pending, other: Pending): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
