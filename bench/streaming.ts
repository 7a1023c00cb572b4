import { type Backend, fakeInProcess, fakeProcess } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellanOnSqlite } from "./castellan.ts";
import type { Contender, Conversations } from "./contender.ts";
import { type Line, type Row, rowOf } from "./line.ts";
import { compete, type Score, timed } from "./rounds.ts";
import { spreadOf } from "./spread.ts";

/** The messages per turn, and the turns per round. */
const SIZES = [
  { messages: 2_000, turns: 10 },
  { messages: 100_000, turns: 1 },
] as const;

/** Measures the messages per second that a reader gets from a short turn and from one fifty times as long. */
export const streaming: Line = {
  name: "streaming",
  rounds: 7,
  measure: async ({ rounds, directory }) => {
    const rows: Row[] = [];
    for (const backend of [fakeInProcess(), fakeProcess()]) {
      const contenders = [bareSdk, castellanOnSqlite(directory)];
      const scores: Score[][] = [];
      for (const size of SIZES) scores.push(await compare(contenders, backend, size, rounds));
      const [short = [], long = []] = scores;
      SIZES.forEach(({ messages }, index) => {
        const what = `messages, ${messages.toLocaleString("en")} in a turn`;
        rows.push(rowOf(what, backend.name, "/s", scores[index] ?? [], { atLeast: 0.75 }));
      });
      rows.push(growth(backend.name, short, long));
      await backend.close();
    }
    return rows;
  },
};

async function compare(
  contenders: readonly Contender[],
  backend: Backend,
  size: (typeof SIZES)[number],
  rounds: number,
): Promise<Score[]> {
  const opened: { readonly name: string; readonly conversations: Conversations }[] = [];
  for (const contender of contenders) {
    opened.push({ name: contender.name, conversations: await contender.open(backend, 1) });
  }
  const rivals = opened.map(({ name, conversations }) => ({
    name,
    round: () => messagesPerSecond(conversations, size),
  }));
  const scores = await compete(rivals, rounds);
  for (const { conversations } of opened) await conversations.close();
  return scores;
}

async function messagesPerSecond({ read }: Conversations, size: (typeof SIZES)[number]): Promise<number> {
  let messages = 0;
  const ms = await timed(async () => {
    for (let turn = 0; turn < size.turns; turn++) messages += await read(0, `Stream ${size.messages} pieces.`);
  });
  if (messages < size.messages * size.turns) throw new Error(`only ${messages} messages arrived`);
  return (messages * 1_000) / ms;
}

/** The ratio of a message's time in a long turn to its time in a short turn. */
function growth(on: string, short: readonly Score[], long: readonly Score[]): Row {
  const of = (side: number): ReturnType<typeof spreadOf> => {
    const slow = long[side]?.figures ?? [];
    return spreadOf(slow.map((figure, round) => (short[side]?.figures[round] ?? Number.NaN) / figure));
  };
  const what = "time of a message, 100,000 to 2,000";
  return { what, on, unit: "×", bare: of(0), castellan: of(1), budget: { atMost: 1.25 } };
}
