import { SqliteConnection } from "../src/journal/sqlite/sqlite-thread.ts";
import { fakeInProcess } from "./backend.ts";
import { bareSdk } from "./bare-sdk.ts";
import { castellan, castellanOnSqlite } from "./castellan.ts";
import type { Contender, Conversations } from "./contender.ts";
import { type Line, type Row, rowOf } from "./line.ts";
import { compete, type Rival } from "./rounds.ts";
import { spreadOf } from "./spread.ts";

const ON = "fake in the process";

/** The limits of the ratios, see docs/performance.md for how they were chosen. */
const SETTINGS = [
  { sessions: 1, turns: 200, limits: { sqlite: 6.5, memory: 5 } },
  { sessions: 50, turns: 8, limits: { sqlite: 4, memory: 3 } },
] as const;

/** How many statements and transactions of SQLite a turn may take. */
const MOST = { statements: 7, transactions: 2 };

/** Measures what a turn costs in figures that other work on the machine hardly moves: CPU time of the main thread, and counts. */
export const turnCost: Line = {
  name: "turn-cost",
  rounds: 5,
  measure: async ({ rounds, directory }) => {
    const contenders = [bareSdk, castellanOnSqlite(directory), castellan("memory", () => "memory")];
    const rows: Row[] = [];
    for (const { sessions, turns, limits } of SETTINGS) {
      const [bare, sqlite, memory] = await compete(
        contenders.map((contender) => cpuTime(contender, sessions, turns)),
        rounds,
      );
      if (bare === undefined || sqlite === undefined || memory === undefined) throw new Error("needs three rivals");
      const what = `CPU time of a turn, ${sessions} ${sessions === 1 ? "session" : "sessions"}`;
      rows.push(rowOf(`${what}, SQLite`, ON, "us", [bare, sqlite], { atMost: limits.sqlite }));
      rows.push(rowOf(`${what}, memory`, ON, "us", [bare, memory], { atMost: limits.memory }));
    }
    return [...rows, ...(await counts(directory))];
  },
};

/** The CPU time of the main thread per turn, in microseconds. */
function cpuTime(contender: Contender, sessions: number, turns: number): Rival {
  return {
    name: contender.name,
    round: async () => {
      const backend = fakeInProcess();
      const conversations = await contender.open(backend, sessions);
      await ask(conversations, sessions, turns);
      const before = process.threadCpuUsage();
      await ask(conversations, sessions, turns);
      const { user, system } = process.threadCpuUsage(before);
      await conversations.close();
      await backend.close();
      return (user + system) / (sessions * turns);
    },
  };
}

async function ask(conversations: Conversations, sessions: number, turns: number): Promise<void> {
  await Promise.all(
    Array.from({ length: sessions }, async (_, session) => {
      for (let turn = 0; turn < turns; turn++) await conversations.ask(session, `Do number ${turn}, please.`);
    }),
  );
}

/** Counts the statements and the transactions of turns of one session. The median leaves out a turn that a timer for what waits hits. */
async function counts(directory: string): Promise<Row[]> {
  const turns = 101;
  const backend = fakeInProcess();
  const conversations = await castellanOnSqlite(directory).open(backend, 1);
  await ask(conversations, 1, turns);
  const { run } = SqliteConnection.prototype;
  let [statements, transactions] = [0, 0];
  SqliteConnection.prototype.run = function (steps, running) {
    statements += steps.length;
    if (running?.transaction === true) transactions += 1;
    return run.call(this, steps, running);
  };
  const ofTurns: { readonly statements: number; readonly transactions: number }[] = [];
  try {
    for (let turn = 0; turn < turns; turn++) {
      [statements, transactions] = [0, 0];
      await conversations.ask(0, `Do number ${turn}, please.`);
      ofTurns.push({ statements, transactions });
    }
  } finally {
    SqliteConnection.prototype.run = run;
  }
  await conversations.close();
  await backend.close();
  const row = (unit: keyof typeof MOST): Row => {
    const castellan = spreadOf(ofTurns.map((counted) => counted[unit]));
    return { what: `${unit} of a turn, SQLite`, on: ON, unit: "", castellan, budget: { atMost: MOST[unit] } };
  };
  return [row("statements"), row("transactions")];
}
