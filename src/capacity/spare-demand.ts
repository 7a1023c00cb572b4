import type { Shape } from "../claude/fingerprint.ts";

/** For how long it counts that a process was asked for, in milliseconds. */
const DEMAND_MS = 10 * 60_000;

/** What comes within the time of a start or two comes before a spare could be replaced. */
const BURST_MS = 2_000;

/** A kind that was asked for once may never be asked for again. */
const FEWEST = 2;

/** How many kinds, and how many times of each, are kept in mind. */
const MOST_KINDS = 64;
const MOST_TIMES = 256;

interface Kind {
  readonly shape: Shape;
  /** When one was asked for, oldest first. */
  times: number[];
}

/** How many spares of a kind are worth having. */
export interface Wanted {
  readonly id: string;
  readonly shape: Shape;
  readonly count: number;
}

/** The most that fall into any `spanMs` of these times, which are in order. */
export function busiest(times: readonly number[], spanMs: number): number {
  let [most, first] = [0, 0];
  for (const [index, time] of times.entries()) {
    while (time - (times[first] ?? time) >= spanMs) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

/** Which kinds of processes have been asked for of late, and how many at a time. */
export class SpareDemand {
  readonly #kinds = new Map<string, Kind>();

  /** @param id of the kind's fingerprint */
  note(id: string, shape: Shape, now: number): void {
    const times = [...(this.#kinds.get(id)?.times ?? []).slice(1 - MOST_TIMES), now];
    this.forget(id);
    this.#kinds.set(id, { shape, times });
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > MOST_KINDS && oldest !== undefined) this.forget(oldest);
  }

  /** It will be asked for more than once. */
  expect(id: string, shape: Shape, now: number): void {
    for (let i = FEWEST; i > 0; i--) this.note(id, shape, now - i * BURST_MS);
  }

  /** Takes kinds whose fingerprint is another one by now for what they are. */
  rekey(idOf: (shape: Shape) => string): void {
    const kinds = [...this.#kinds.values()];
    this.#kinds.clear();
    for (const kind of kinds) {
      const id = idOf(kind.shape);
      const times = [...(this.#kinds.get(id)?.times ?? []), ...kind.times];
      this.#kinds.set(id, { shape: kind.shape, times: times.toSorted((one, other) => one - other).slice(-MOST_TIMES) });
    }
  }

  forget(id: string): void {
    this.#kinds.delete(id);
  }

  /** What is worth having, what was asked for last first. */
  wanted(now: number): Wanted[] {
    for (const [id, kind] of this.#kinds) {
      kind.times = kind.times.filter((time) => now - time < DEMAND_MS);
      if (kind.times.length === 0) this.forget(id);
    }
    return [...this.#kinds].toReversed().flatMap(([id, { shape, times }]) =>
      times.length < FEWEST
        ? []
        : [
            {
              id,
              shape,
              count: busiest(
                times.toSorted((a, b) => a - b),
                BURST_MS,
              ),
            },
          ],
    );
  }
}
