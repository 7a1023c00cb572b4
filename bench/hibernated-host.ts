import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/application/supervisor.ts";
import { type Clock, systemClock } from "../src/clock.ts";
import { template } from "../src/index.ts";
import { FarClaude } from "./far-claude.ts";

/* Fills this process with sessions that sleep, and tells its parent what one of them adds to the heap. Needs --expose-gc. */

/** Bytes a session. */
export interface HibernatedMemory {
  /** Right after its turn, of which the messages can still be read. */
  readonly fresh: number;
  /** When they no longer can. */
  readonly settled: number;
  /** Of one that has been named, and never asked anything. */
  readonly unasked: number;
}

const SESSIONS = 2_000;

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

const directory = process.argv[2] ?? ".";
await using far = await FarClaude.start();
await using supervisor = await Supervisor.startWith(
  // None is let go while it is measured.
  [template("sleeper", {}, { retention: "30d" }), template("silent", {}, { retention: "30d" })],
  {
    journal: { sqlite: join(directory, `${randomUUID()}.db`) },
    capacity: { maxProcesses: 16 },
    defaults: { spawnClaudeCodeProcess: far.spawn },
  },
  { clock: hasty, newId: randomUUID, random: Math.random },
);

await putToSleep(0, BEFORE);
await kept();
const before = heap();
await putToSleep(BEFORE, SESSIONS);
const fresh = (heap() - before) / SESSIONS;
await kept();
const settled = (heap() - before) / SESSIONS;
const asked = heap();
for (let index = 0; index < SESSIONS; index++) supervisor.session(["silent", index]);
await kept();
const unasked = (heap() - asked) / SESSIONS;
process.send?.({ fresh, settled, unasked } satisfies HibernatedMemory);

/** Asks so many sessions something, from this one on, and has each sleep after that. */
async function putToSleep(from: number, count: number): Promise<void> {
  const next = Array.from({ length: count }, (_, index) => from + index).values();
  const callers = Array.from({ length: 16 }, async () => {
    for (const index of next) {
      const session = supervisor.session(["sleeper", index]);
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
