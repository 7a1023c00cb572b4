import { type Spread, spreadOf } from "./spread.ts";

/** A participant of a comparison. */
export interface Rival {
  readonly name: string;
  /** Runs one round and returns its figure. */
  round(): Promise<number>;
}

/** The results of one rival. */
export interface Score {
  readonly name: string;
  /** The figures of its rounds, in order. */
  readonly figures: readonly number[];
  readonly figure: Spread;
  /** The ratio to the first rival's figure in the same round. */
  readonly ratio: Spread;
}

/**
 * Runs the rivals in alternation, so that other load on the machine affects all of them. Each round begins with another rival. Each rival
 * first runs one warm-up round.
 */
export async function compete(rivals: readonly Rival[], rounds: number): Promise<Score[]> {
  const figures = rivals.map((): number[] => []);
  for (const rival of rivals) await rival.round();
  for (let round = 0; round < rounds; round++) {
    for (const offset of rivals.keys()) {
      const index = (round + offset) % rivals.length;
      const rival = rivals[index];
      if (rival !== undefined) figures[index]?.push(await rival.round());
    }
  }
  return rivals.map(({ name }, index) => {
    const own = figures[index] ?? [];
    return { name, figures: own, figure: spreadOf(own), ratio: ratioTo(figures[0] ?? [], own) };
  });
}

/** The ratio of each figure to another rival's in the same round. */
export function ratioTo(others: readonly number[], own: readonly number[]): Spread {
  return spreadOf(own.map((figure, round) => figure / (others[round] ?? Number.NaN)));
}

/** Runs `work` and returns its duration in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work();
  return performance.now() - since;
}
