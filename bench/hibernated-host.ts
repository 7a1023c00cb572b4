import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/application/supervisor.ts";
import { type Clock, systemClock } from "../src/clock.ts";
import { template } from "../src/index.ts";
import { FarClaude } from "./far-claude.ts";

/* Creates hibernated sessions in this process, and reports the heap per session to its parent. Needs --expose-gc. */

/** Bytes per session. */
export interface HibernatedMemory {
  /** Of ten thousand sessions, most of them evicted. */
  readonly ofMany: number;
  /** Right after the turn, whose messages are still readable. */
  readonly fresh: number;
  /** After the messages have been dropped. */
  readonly settled: number;
  /** Of a session that was named but never queried. */
  readonly unasked: number;
}

const SESSIONS = 2_000;
const MANY = 10_000;

/** The number of warm-up sessions, after which all code is compiled and shared structures have grown. */
const BEFORE = 500;

/** The speed of the clock for background timers: turns kept for two minutes are dropped after four seconds. */
const SPEED = 30;
const KEPT_MS = 150_000;

const hasty: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * SPEED,
  // Only background timers, which drop old state, run faster. Timeouts keep their length for a busy machine.
  schedule: (ms, work, options) => systemClock.schedule(options?.background === true ? ms / SPEED : ms, work, options),
};

/** Prevents eviction during the measurement. */
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

await hibernated("sleeper", 0, BEFORE);
await kept();
const before = heap();
await hibernated("sleeper", BEFORE, SESSIONS);
const fresh = (heap() - before) / SESSIONS;
await kept();
const settled = (heap() - before) / SESSIONS;
const asked = heap();
for (let index = 0; index < SESSIONS; index++) supervisor.session(["silent", index]);
await kept();
const unasked = (heap() - asked) / SESSIONS;
const few = heap();
await hibernated("one of many", 0, MANY);
const ofMany = (heap() - few) / MANY;
process.send?.({ ofMany, fresh, settled, unasked } satisfies HibernatedMemory);

/** Queries `count` sessions of a family, from index `from`, and hibernates each. */
async function hibernated(family: string, from: number, count: number): Promise<void> {
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

/** Resolves once state with a limited lifetime has been dropped. */
async function kept(): Promise<void> {
  await new Promise<void>((resolve) => systemClock.schedule(KEPT_MS / SPEED, resolve));
}

function heap(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  for (let round = 0; round < 3; round++) void globalThis.gc();
  return process.memoryUsage().heapUsed;
}
