import { type Backend, fakeInProcess, fakeProcess } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellan, castellanOnSqlite } from "./castellan.ts";
import type { Contender, Conversations } from "./contender.ts";
import { type Line, type Row, rowOf } from "./line.ts";
import { compete, type Rival, type Score, timed } from "./rounds.ts";

export interface TurnsSetting {
  readonly sessions: number;
  /** The turns per session and round. */
  readonly turns: number;
  /** The delay of the fake process before it answers, in milliseconds. Default: none. */
  readonly pause?: number;
}

/** The budgets of a setting: turns per second, compared to the bare SDK. */
interface TurnsBudget {
  readonly sqlite: number;
  readonly memory?: number;
}

export const TURNS: readonly (TurnsSetting & { readonly budget: TurnsBudget })[] = [
  { sessions: 1, turns: 200, budget: { sqlite: 0.45, memory: 0.75 } },
  { sessions: 50, turns: 10, budget: { sqlite: 0.75, memory: 0.85 } },
];

/** Delays equal to a turn of the real Claude Code with a model that answers at once. */
const PACED: typeof TURNS = [
  { sessions: 1, turns: 30, pause: 17, budget: { sqlite: 0.98 } },
  { sessions: 50, turns: 10, pause: 17, budget: { sqlite: 0.9 } },
];

/** Measures turns per second through one session, and through fifty concurrent ones. */
export const turns: Line = {
  name: "turns",
  rounds: 15,
  measure: async ({ rounds, directory }) => {
    const contenders = [bareSdk, castellanOnSqlite(directory), castellan("memory", () => "memory")];
    const rows: Row[] = [];
    for (const setting of TURNS) {
      const fresh = contenders.map((contender) => freshTurns(contender, fakeInProcess, setting));
      rows.push(...rowsOf(setting, "fake in the process", await compete(fresh, rounds)));
    }
    for (const setting of [...TURNS, ...PACED]) {
      rows.push(...rowsOf(setting, "fake process", await compareKept(contenders, setting, rounds)));
    }
    return rows;
  },
};

/** The rows of each journal. */
function rowsOf(setting: (typeof TURNS)[number], on: string, [bare, sqlite, memory]: readonly Score[]): Row[] {
  if (bare === undefined || sqlite === undefined || memory === undefined) throw new Error("needs three rivals");
  const { budget } = setting;
  const what = turnsOf(setting);
  const ofMemory = budget.memory === undefined ? undefined : { atLeast: budget.memory };
  return [
    rowOf(`${what}, SQLite`, on, "/s", [bare, sqlite], { atLeast: budget.sqlite }),
    rowOf(`${what}, memory`, on, "/s", [bare, memory], ofMemory),
  ];
}

export function turnsOf({ sessions, pause }: TurnsSetting): string {
  const pace = pause === undefined ? "" : `, each of ${pause} ms`;
  return `turns, ${sessions} ${sessions === 1 ? "session" : "sessions"}${pace}`;
}

/** Begins new conversations in each round, and warms them up. */
export function freshTurns(contender: Contender, backend: () => Backend, setting: TurnsSetting): Rival {
  return {
    name: contender.name,
    round: async () => {
      const own = backend();
      const conversations = await contender.open(own, setting.sessions);
      await askAll(conversations, setting);
      const figure = await turnsPerSecond(conversations, setting);
      await conversations.close();
      await own.close();
      return figure;
    },
  };
}

/** Keeps the same conversations over all rounds, because processes take long to start. */
async function compareKept(
  contenders: readonly Contender[],
  setting: TurnsSetting,
  rounds: number,
): ReturnType<typeof compete> {
  const backend = fakeProcess();
  const opened: { readonly name: string; readonly conversations: Conversations }[] = [];
  for (const contender of contenders) {
    opened.push({ name: contender.name, conversations: await contender.open(backend, setting.sessions) });
  }
  const rivals = opened.map(({ name, conversations }) => ({
    name,
    round: () => turnsPerSecond(conversations, setting),
  }));
  const scores = await compete(rivals, rounds);
  for (const { conversations } of opened) await conversations.close();
  await backend.close();
  return scores;
}

async function turnsPerSecond(conversations: Conversations, setting: TurnsSetting): Promise<number> {
  return (setting.sessions * setting.turns * 1_000) / (await timed(() => askAll(conversations, setting)));
}

async function askAll({ ask }: Conversations, { sessions, turns: each, pause }: TurnsSetting): Promise<void> {
  const how = pause === undefined ? "" : ` in ${pause} ms`;
  await Promise.all(
    Array.from({ length: sessions }, async (_, session) => {
      for (let turn = 0; turn < each; turn++) await ask(session, `Do number ${turn}, please${how}.`);
    }),
  );
}
