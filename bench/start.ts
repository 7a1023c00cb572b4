import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { Supervisor } from "../src/application/supervisor.ts";
import type { Change } from "../src/index.ts";
import { sqliteJournal } from "../src/journal/sqlite/sqlite-journal.ts";
import type { Line } from "./line.ts";
import { spreadOf } from "./spread.ts";

const NAMES = 10_000;

/** The events of a short turn. */
const TYPES = ["turn_accepted", "turn_started", "text", "spent", "turn_ended"];

/** How many names to write at a time. */
const BATCH = 100;

/** Measures a start of ten thousand names: from a journal that has a turn of each, and from a new journal. No process starts. */
export const start: Line = {
  name: "start",
  rounds: 5,
  measure: async ({ rounds, directory }) => {
    const names = Array.from({ length: NAMES }, (_, index) => `name-${index}`);
    const full = join(directory, "start.db");
    await fill(full, names);
    const used: number[] = [];
    const unused: number[] = [];
    const delays: number[] = [];
    // The first round compiles the code.
    for (let round = 0; round <= rounds; round++) {
      const copy = join(directory, `start-${round}.db`);
      await copyFile(full, copy);
      const [after, fresh] = [await startOf(copy, names), await startOf(join(directory, `fresh-${round}.db`), names)];
      if (round === 0) continue;
      used.push(after.took);
      unused.push(fresh.took);
      delays.push(after.delay);
    }
    const row = { on: "no processes", unit: "ms" };
    return [
      { ...row, what: "start of 10,000 names with events", castellan: spreadOf(used), budget: { atMost: 1_000 } },
      { ...row, what: "start of 10,000 new names", castellan: spreadOf(unused) },
      {
        ...row,
        what: "longest delay of the event loop while 10,000 names stop",
        castellan: spreadOf(delays),
        budget: { atMost: 50 },
      },
    ];
  },
};

/** Returns how long the start takes, and for how long the stop delays the event loop at most, in milliseconds. */
async function startOf(
  sqlite: string,
  names: readonly string[],
): Promise<{ readonly took: number; readonly delay: number }> {
  const children = names.map((name) => ({ name, activation: "lazy" }) as const);
  const since = performance.now();
  const supervisor = await Supervisor.start(children, {
    journal: { sqlite },
    logger: { info: () => {}, warn: () => {} },
  });
  const took = performance.now() - since;
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  // The first delay is only known once there was a tick.
  await setTimeout(5);
  await supervisor.stop();
  await setTimeout(5);
  delays.disable();
  return { took, delay: delays.max / 1e6 };
}

/** Writes a turn of each name to a new journal. */
async function fill(sqlite: string, names: readonly string[]): Promise<void> {
  const journal = sqliteJournal({ sqlite });
  await journal.open({ id: "before", pid: process.pid, host: "here", startedAt: 0 });
  const at = Date.now();
  for (let from = 0; from < names.length; from += BATCH) {
    const changes = names.slice(from, from + BATCH).flatMap((name): Change[] => {
      const [session, turn] = [JSON.stringify(name), `turn of ${name}`];
      return TYPES.map((type, index): Change => {
        const event = { session, number: index + 1, at, type, turn, body: { v: 1, text: "x".repeat(100) } };
        return { type: "event_appended", event };
      });
    });
    await journal.write({ number: from / BATCH + 1, changes, durable: false });
  }
  await journal.close();
}
