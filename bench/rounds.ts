import { type Spread, spreadOf } from "./spread.ts";

/** A way to do what is measured. */
export interface Rival {
  readonly name: string;
  /** Does it once, and gives the figure. */
  round(): Promise<number>;
}

/** What one rival has done. */
export interface Score {
  readonly name: string;
  /** The figures of its rounds, in order. */
  readonly figures: readonly number[];
  readonly figure: Spread;
  /** To the figure of the first rival in the same round. */
  readonly ratio: Spread;
}

/**
 * Lets the rivals run one after the other, again and again, so that what else the machine does meets all of them. Each
 * round begins with another one of them. Before that each runs once for nothing.
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

/** Each figure to that of another rival in the same round. */
export function ratioTo(others: readonly number[], own: readonly number[]): Spread {
  return spreadOf(own.map((figure, round) => figure / (others[round] ?? Number.NaN)));
}

/** How many milliseconds `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work();
  return performance.now() - since;
}
