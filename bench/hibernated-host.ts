import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/application/supervisor.ts";
import { type Clock, systemClock } from "../src/clock.ts";
import { template } from "../src/index.ts";
import { FarClaude } from "./far-claude.ts";

/* Fills this process with sessions that sleep, and tells its parent what one of them adds to the heap. Needs --expose-gc. */

/** Bytes a session. */
export interface HibernatedMemory {
  /** Of one of ten thousand, most of which have been let go. */
  readonly ofMany: number;
  /** Right after its turn, of which the messages can still be read. */
  readonly fresh: number;
  /** When they no longer can. */
  readonly settled: number;
  /** Of one that has been named, and never asked anything. */
  readonly unasked: number;
}

const SESSIONS = 2_000;
const MANY = 10_000;

/** Those before have everything compiled and grown that there is once for all. */
const BEFORE = 500;

/** How many times as fast the clock runs, so that what is kept for two minutes is gone after four seconds. */
const HASTE = 30;
const KEPT_MS = 150_000;

const hasty: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * HASTE,
  // What has a limit on a busy machine keeps it; what only tidies up comes sooner.
  schedule: (ms, work, options) => systemClock.schedule(options?.background === true ? ms / HASTE : ms, work, options),
};

/** None is let go while it is measured. */
const inMemory = { retention: "30d", maxHibernated: 10_000 } as const;

const directory = process.argv[2] ?? ".";
await using far = await FarClaude.start();
await using supervisor = await Supervisor.startWith(
  [template("sleeper", {}, inMemory), template("silent", {}, inMemory), template("one of many")],
  {
    journal: { sqlite: join(directory, `${randomUUID()}.db`) },
    capacity: { maxProcesses: 16 },
    defaults: { spawnClaudeCodeProcess: far.spawn },
  },
  { clock: hasty, newId: randomUUID, random: Math.random },
);

await putToSleep("sleeper", 0, BEFORE);
await kept();
const before = heap();
await putToSleep("sleeper", BEFORE, SESSIONS);
const fresh = (heap() - before) / SESSIONS;
await kept();
const settled = (heap() - before) / SESSIONS;
const asked = heap();
for (let index = 0; index < SESSIONS; index++) supervisor.session(["silent", index]);
await kept();
const unasked = (heap() - asked) / SESSIONS;
const few = heap();
await putToSleep("one of many", 0, MANY);
const ofMany = (heap() - few) / MANY;
process.send?.({ ofMany, fresh, settled, unasked } satisfies HibernatedMemory);

/** Asks so many sessions of a family something, from this one on, and has each sleep after that. */
async function putToSleep(family: string, from: number, count: number): Promise<void> {
  const next = Array.from({ length: count }, (_, index) => from + index).values();
  const callers = Array.from({ length: 16 }, async () => {
    for (const index of next) {
      const session = supervisor.session([family, index]);
      await session.query(`My number is ${index}.`);
      await session.hibernate();
    }
  });
  await Promise.all(callers);
}

/** Resolves when what is kept for some time has been dropped. */
async function kept(): Promise<void> {
  await new Promise<void>((resolve) => systemClock.schedule(KEPT_MS / HASTE, resolve));
}

function heap(): number {
  if (globalThis.gc === undefined) throw new Error("this needs --expose-gc");
  for (let round = 0; round < 3; round++) void globalThis.gc();
  return process.memoryUsage().heapUsed;
}
