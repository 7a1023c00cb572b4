import { fork } from "node:child_process";
import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sqliteJournal } from "../src/journal/sqlite/sqlite-journal.ts";
import { Filling } from "./filling.ts";
import type { Line, Row } from "./line.ts";
import type { LoopBegun, LoopReport } from "./loop-host.ts";
import { type LoopFigures, LoopMeter, type Quantiles } from "./loop-meter.ts";
import { spreadOf } from "./spread.ts";

const LOADS = {
  busy: "50 busy sessions",
  streams: "1,000 streams over SSE",
  deletion: "50 busy sessions, deletion of half of a million events",
} as const;

type Load = keyof typeof LOADS;

const EVENTS = 1_000_000;
const FILE = "loop.db";

/** The events to delete are older than any retention. */
const OLD_MS = 365 * 24 * 60 * 60_000;

interface Measured {
  readonly bare: LoopReport;
  readonly castellan: LoopReport;
  /** An idle process during the two. */
  readonly idle: LoopFigures;
}

/** Measures how late the event loop is under load, beside the bare SDK under the same load, and an idle process at the same time. */
export const loop: Line = {
  name: "loop",
  rounds: 3,
  measure: ({ rounds, directory }) => measureLoads(["busy", "streams", "deletion"], rounds, directory),
};

async function measureLoads(loads: readonly Load[], rounds: number, directory: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const load of loads) {
    const measured: Measured[] = [];
    if (load === "deletion") await fill(join(directory, FILE));
    for (let round = 0; round < rounds; round++) {
      const file = `${FILE}-${round}`;
      if (load === "deletion") await copyFile(join(directory, FILE), join(directory, file));
      const sides = {} as Record<"bare" | "castellan", Awaited<ReturnType<typeof sideOf>>>;
      for (const side of round % 2 === 0 ? (["bare", "castellan"] as const) : (["castellan", "bare"] as const)) {
        sides[side] = await sideOf([load, side, directory, file]);
      }
      const { bare, castellan } = sides;
      const [idle = castellan.idle] = [bare.idle, castellan.idle].toSorted((a, b) => b.delay.max - a.delay.max);
      measured.push({ bare: bare.report, castellan: castellan.report, idle });
    }
    rows.push(...rowsOf(load, measured));
  }
  return rows;
}

/** Runs a side in a process of its own. Measures this process, which idles, at the same time. */
async function sideOf(args: readonly string[]): Promise<{ readonly report: LoopReport; readonly idle: LoopFigures }> {
  const host = fork(fileURLToPath(new URL("./loop-host.ts", import.meta.url)), [...args], { execArgv: [] });
  const gone = new AbortController();
  host.once("exit", (code) => gone.abort(new Error(`the measuring process exited with code ${code}`)));
  const message = async <Message>(): Promise<Message> =>
    ((await once(host, "message", { signal: gone.signal })) as [Message])[0];
  await message<LoopBegun>();
  const meter = new LoopMeter();
  const report = await message<LoopReport>();
  return { report, idle: meter.end() };
}

function rowsOf(load: Load, measured: readonly Measured[]): Row[] {
  const on = "fake process";
  const of = (side: keyof Measured, figure: (of: LoopFigures) => number) =>
    spreadOf(measured.map((one) => figure(one[side])));
  const row = (what: string, figure: (of: LoopFigures) => number, budget?: Row["budget"]): Row => ({
    what: `${LOADS[load]}: ${what}`,
    on,
    unit: "ms",
    bare: of("bare", figure),
    castellan: of("castellan", figure),
    ...(budget && { budget }),
  });
  const idle = (part: keyof Quantiles): Row => ({
    what: `${LOADS[load]}: delay of an idle process meanwhile, ${part}`,
    on: "",
    unit: "ms",
    castellan: of("idle", ({ delay }) => delay[part]),
  });
  const rate = (side: "bare" | "castellan") => spreadOf(measured.map((one) => one[side].done));
  return [
    row("delay of the event loop, p50", ({ delay }) => delay.p50),
    row("delay of the event loop, p99", ({ delay }) => delay.p99, { atMost: 5 }),
    row("delay of the event loop, max", ({ delay }) => delay.max, { atMost: 50 }),
    idle("p99"),
    idle("max"),
    row("CPU time between two ticks, p99", ({ busy }) => busy.p99, { atMost: 5 }),
    row("CPU time between two ticks, max", ({ busy }) => busy.max, { atMost: 50 }),
    {
      what: `${LOADS[load]}: ${load === "streams" ? "events that reached the readers" : "turns"}`,
      on,
      unit: "in 10 s",
      bare: rate("bare"),
      castellan: rate("castellan"),
    },
  ];
}

/** Makes a file of a million events, of which the older half is due for deletion. */
async function fill(path: string): Promise<void> {
  const journal = sqliteJournal({ sqlite: path });
  await journal.open({ id: "bench", pid: process.pid, host: "here", startedAt: 0 });
  const now = Date.now();
  const filling = new Filling(journal, 100, {
    timeOf: (event) => now - EVENTS + event - (event <= EVENTS / 2 ? OLD_MS : 0),
  });
  await filling.upTo(EVENTS);
  await journal.close();
}
