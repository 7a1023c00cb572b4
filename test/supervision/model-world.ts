import type { Disposition } from "../../src/supervision/child-spec.ts";

interface Pending {
  readonly at: number;
  readonly call: () => void;
}

/** State that the supervisors of the model share: time, planned failures, and the log of starts and stops. */
export class World {
  now = 0;
  /** Entries such as `start r.1` and `stop r.1`. */
  log: string[] = [];
  /** Set when starts may have overlapped. Then only the order within each supervisor is certain. */
  overlapped = false;
  /** Set when an overlapping start was cut short, which this model cannot predict. */
  lost = false;
  /** Set when two waits ended at the same moment. Then no order is certain. */
  tied = false;
  /** For each worker, how its next starts fail. */
  readonly failures: Map<string, Disposition[]> = new Map();
  #pending: Pending[] = [];

  after(ms: number, call: () => void): void {
    this.#pending.push({ at: this.now + ms, call });
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.now = next.at;
      next.call();
    }
    this.now = end;
  }

  #next(end: number): Pending | undefined {
    const due = this.#pending.filter(({ at }) => at <= end);
    const next = due.toSorted((one, other) => one.at - other.at)[0];
    if (due.some((other) => other !== next && other.at === next?.at)) this.tied = true;
    this.#pending = this.#pending.filter((other) => other !== next);
    return next;
  }
}
