import type { Shape } from "../claude/fingerprint.ts";

/** How long a request for a process counts, in milliseconds. */
const DEMAND_MS = 10 * 60_000;

/** Requests within this time of one another need a spare each: a used spare could not be replaced in time. */
const BURST_MS = 2_000;

/** A kind that was requested only once may never be requested again. */
const MIN_REQUESTS = 2;

/** The maximum number of kinds, and of requests per kind, to remember. */
const MAX_KINDS = 64;
const MAX_TIMES = 256;

interface Kind {
  readonly shape: Shape;
  /** The times of its requests, oldest first. */
  times: number[];
}

/** The number of spares of one kind to keep. */
export interface Wanted {
  readonly id: string;
  readonly shape: Shape;
  readonly count: number;
}

/** Returns the largest number of these sorted times within any `spanMs`. */
export function busiest(times: readonly number[], spanMs: number): number {
  let [most, first] = [0, 0];
  for (const [index, time] of times.entries()) {
    while (time - (times[first] ?? time) >= spanMs) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

/** Remembers which kinds of processes were requested recently, and how many at a time. */
export class SpareDemand {
  readonly #kinds = new Map<string, Kind>();

  /** Records a request. @param id the id of the kind's fingerprint */
  record(id: string, shape: Shape, now: number): void {
    const times = [...(this.#kinds.get(id)?.times ?? []).slice(1 - MAX_TIMES), now];
    this.forget(id);
    this.#kinds.set(id, { shape, times });
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > MAX_KINDS && oldest !== undefined) this.forget(oldest);
  }

  /** Records a kind that will be requested more than once. */
  expect(id: string, shape: Shape, now: number): void {
    for (let i = MIN_REQUESTS; i > 0; i--) this.record(id, shape, now - i * BURST_MS);
  }

  /** Recomputes the ids of all kinds after a change of what their fingerprints depend on. */
  rekey(idOf: (shape: Shape) => string): void {
    const kinds = [...this.#kinds.values()];
    this.#kinds.clear();
    for (const kind of kinds) {
      const id = idOf(kind.shape);
      const times = [...(this.#kinds.get(id)?.times ?? []), ...kind.times];
      this.#kinds.set(id, { shape: kind.shape, times: times.toSorted((one, other) => one - other).slice(-MAX_TIMES) });
    }
  }

  forget(id: string): void {
    this.#kinds.delete(id);
  }

  /** Returns the kinds worth keeping spares of, the most recently requested first. */
  wanted(now: number): Wanted[] {
    for (const [id, kind] of this.#kinds) {
      kind.times = kind.times.filter((time) => now - time < DEMAND_MS);
      if (kind.times.length === 0) this.forget(id);
    }
    return [...this.#kinds].toReversed().flatMap(([id, { shape, times }]) =>
      times.length < MIN_REQUESTS
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
