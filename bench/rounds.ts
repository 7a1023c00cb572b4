import { fakeClaude } from "../src/testing/index.ts";
import type { Contender } from "./contender.ts";

/** The middle of several measurements, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What one contender has done. */
export interface Score {
  readonly contender: string;
  readonly turnsPerSecond: Spread;
  /** To what the first contender did in the same round. */
  readonly ratio: Spread;
}

export interface RoundSettings {
  readonly rounds: number;
  readonly sessions: number;
  /** How many turns each session is asked in a round, after as many that are not counted. */
  readonly turns: number;
}

/**
 * Lets the contenders run one after the other, again and again, so that what else the machine does meets all of them. Each
 * round begins with another one of them.
 */
export async function compete(contenders: readonly Contender[], settings: RoundSettings): Promise<Score[]> {
  const speeds = contenders.map((): number[] => []);
  for (let round = 0; round < settings.rounds; round++) {
    for (const offset of contenders.keys()) {
      const index = (round + offset) % contenders.length;
      const contender = contenders[index];
      if (contender !== undefined) speeds[index]?.push(await turnsPerSecond(contender, settings));
    }
  }
  return contenders.map(({ name }, index) => {
    const own = speeds[index] ?? [];
    const ratios = own.map((speed, round) => speed / (speeds[0]?.[round] ?? Number.NaN));
    return { contender: name, turnsPerSecond: spreadOf(own), ratio: spreadOf(ratios) };
  });
}

async function turnsPerSecond(contender: Contender, { sessions, turns }: RoundSettings): Promise<number> {
  const fake = fakeClaude((turn) => turn.text("It is done."));
  const { ask, close } = await contender.open(fake, sessions);
  const run = async (): Promise<void> => {
    await Promise.all(
      Array.from({ length: sessions }, async (_, session) => {
        for (let turn = 0; turn < turns; turn++) await ask(session, `Do number ${turn}, please.`);
      }),
    );
  };
  await run();
  const since = performance.now();
  await run();
  const seconds = (performance.now() - since) / 1_000;
  await close();
  if (fake.errors.length > 0) throw new AggregateError(fake.errors, `${contender.name}: the fake's script failed`);
  return (sessions * turns) / seconds;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}
