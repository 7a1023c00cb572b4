import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Supervisor } from "../src/application/supervisor.ts";
import type { Change } from "../src/index.ts";
import { sqliteJournal } from "../src/journal/sqlite/sqlite-journal.ts";
import type { Line } from "./line.ts";
import { LoopMeter } from "./loop-meter.ts";
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
    const busy: number[] = [];
    // The first round compiles the code.
    for (let round = 0; round <= rounds; round++) {
      const copy = join(directory, `start-${round}.db`);
      await copyFile(full, copy);
      const [after, fresh] = [await startOf(copy, names), await startOf(join(directory, `fresh-${round}.db`), names)];
      if (round === 0) continue;
      used.push(after.took);
      unused.push(fresh.took);
      delays.push(after.delay);
      busy.push(after.busy);
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
      {
        ...row,
        what: "CPU time between two ticks while 10,000 names stop, max",
        castellan: spreadOf(busy),
        budget: { atMost: 50 },
      },
    ];
  },
};

/** How long the start takes, and how long the event loop is delayed, and busy, at most while all stop. In milliseconds. */
interface Started {
  readonly took: number;
  readonly delay: number;
  readonly busy: number;
}

async function startOf(sqlite: string, names: readonly string[]): Promise<Started> {
  const children = names.map((name) => ({ name, activation: "lazy" }) as const);
  const since = performance.now();
  const supervisor = await Supervisor.start(children, {
    journal: { sqlite },
    logger: { info: () => {}, warn: () => {} },
  });
  const took = performance.now() - since;
  const meter = new LoopMeter();
  // The first delay is only known once there was a tick.
  await setTimeout(5);
  await supervisor.stop();
  await setTimeout(5);
  const { delay, busy } = meter.end();
  return { took, delay: delay.max, busy: busy.max };
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
