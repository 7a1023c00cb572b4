import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import type { EventQuery } from "../src/index.ts";
import { sqliteJournal } from "../src/journal/sqlite/sqlite-journal.ts";
import { BATCH, Filling } from "./filling.ts";
import { spreadOf } from "./spread.ts";

/*
 * Fills a SQLite journal with events of many sessions. Measures appends and pages on the way, and then the deletion of the older half, and
 * the erasure of a session.
 */

const USAGE = `npm run bench:events -- [options]
  --events <n>    the number of events (1000000)
  --sessions <n>  the number of sessions (100)
  --json          print JSON
  --help          this text`;

const { values: options } = parseArgs({
  options: {
    events: { type: "string", default: "1000000" },
    sessions: { type: "string", default: "100" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** How many measurements to take on the way, and how many calls of each kind per measurement. */
const STEPS = 10;
const CALLS = 200;

interface Measured {
  readonly events: number;
  /** In microseconds, per event, in a batch of its own session. */
  readonly append: number;
  /** In milliseconds: the first page of 100, the last, one in the middle, those of one turn, and of a rare type. */
  readonly first: number;
  readonly last: number;
  readonly middle: number;
  readonly turn: number;
  readonly type: number;
  readonly megabytes: number;
}

async function run(count: number, sessions: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "castellan-events-"));
  const path = join(directory, "castellan.db");
  const journal = sqliteJournal({ sqlite: path });
  await journal.open({ id: "bench", pid: process.pid, host: "here", startedAt: 0 });
  const filling = new Filling(journal, sessions);
  const steps: Measured[] = [];
  for (let step = 1; step <= STEPS; step += 1) {
    await filling.upTo(Math.round((count * step) / STEPS));
    steps.push(await measured(filling, path));
  }
  const deletion = await deleting(filling, count / 2);
  const erasure = await erasing(filling);
  await journal.close();
  await rm(directory, { recursive: true });
  const bodyBytes = filling.bytes / filling.written;
  const figures = { count, sessions, bodyBytes, steps, deletion, erasure };
  console.log(options.json ? JSON.stringify(figures, null, 2) : textOf(figures));
}

async function measured(filling: Filling, path: string): Promise<Measured> {
  const { journal, sessions } = filling;
  const appends: number[] = [];
  for (let call = 0; call < CALLS; call += 1) {
    const begun = performance.now();
    await filling.append(call % sessions, BATCH);
    appends.push(((performance.now() - begun) * 1_000) / BATCH);
  }
  const page = async (query: (last: number) => Omit<EventQuery, "session" | "limit">): Promise<number> => {
    const times: number[] = [];
    for (let call = 0; call < CALLS; call += 1) {
      const session = filling.keyOf((call * 7) % sessions);
      const { last = 0 } = (await journal.eventExtent(session)) ?? {};
      const begun = performance.now();
      await journal.events({ session, limit: 100, ...query(last) });
      times.push(performance.now() - begun);
    }
    return spreadOf(times).median;
  };
  const [turn] = await journal.events({ session: filling.keyOf(0), limit: 1 });
  const size = async (name: string): Promise<number> => (await stat(name)).size / 1024 ** 2;
  return {
    events: filling.written,
    append: spreadOf(appends).median,
    first: await page(() => ({})),
    last: await page(() => ({ before: Number.POSITIVE_INFINITY })),
    middle: await page((last) => ({ after: Math.floor(last / 2) })),
    turn: await page(() => (turn?.turn === undefined ? {} : { turn: turn.turn })),
    type: await page(() => ({ types: ["fault"] })),
    megabytes: (await size(path)) + (await size(`${path}-wal`)),
  };
}

interface Deletion {
  readonly deleted: number;
  readonly seconds: number;
  /** The longest delay of the event loop, and of a turn's write meanwhile, in milliseconds. */
  readonly eventLoop: number;
  readonly write: number;
}

/** Deletes the events before `since`, while a session writes. */
async function deleting(filling: Filling, since: number): Promise<Deletion> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const all = { perSession: Number.POSITIVE_INFINITY, bytesPerSession: Number.POSITIVE_INFINITY };
  const before = await stored(filling);
  delay.enable();
  const begun = performance.now();
  let done = false;
  const pruned = filling.journal
    .prune({ endedSince: 0, turnsPerSession: Number.POSITIVE_INFINITY, events: { since, ...all } })
    .finally(() => {
      done = true;
    });
  let [write, written] = [0, 0];
  while (!done) {
    const from = performance.now();
    await filling.append(0, BATCH);
    written += BATCH;
    write = Math.max(write, performance.now() - from);
  }
  await pruned;
  const seconds = (performance.now() - begun) / 1_000;
  delay.disable();
  return { deleted: before + written - (await stored(filling)), seconds, eventLoop: delay.max / 1e6, write };
}

async function stored({ journal, sessions, keyOf }: Filling): Promise<number> {
  let sum = 0;
  for (let session = 0; session < sessions; session += 1) sum += (await journal.extent(keyOf(session))).events;
  return sum;
}

interface Erasure {
  readonly events: number;
  /** How long the change takes, and the rewrite of the file, in seconds. */
  readonly change: number;
  readonly rewrite: number;
}

async function erasing(filling: Filling): Promise<Erasure> {
  const { journal } = filling;
  const session = filling.keyOf(0);
  const { events } = await journal.extent(session);
  const begun = performance.now();
  await filling.write({ type: "session_erased", session, as: '["erased"]' });
  const changed = performance.now();
  await journal.expunge?.(true);
  return { events, change: (changed - begun) / 1_000, rewrite: (performance.now() - changed) / 1_000 };
}

function textOf(figures: {
  readonly bodyBytes: number;
  readonly steps: readonly Measured[];
  readonly deletion: Deletion;
  readonly erasure: Erasure;
}): string {
  const { bodyBytes, steps, deletion, erasure } = figures;
  const head = [
    "events",
    "append, us each",
    "first page, ms",
    "last",
    "middle",
    "of a turn",
    "of a type",
    "file, MB",
    "bytes each",
  ];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { events, append, first, last, middle, turn, type, megabytes } of steps) {
    const pages = [first, last, middle, turn, type].map((ms) => ms.toFixed(2));
    const bytes = (megabytes * 1024 ** 2) / events;
    table.push([events, append.toFixed(1), ...pages, megabytes.toFixed(0), bytes.toFixed(0)]);
  }
  return [
    table.toString(),
    `bodies have ${bodyBytes.toFixed(0)} bytes on average`,
    `deleted ${deletion.deleted} events in ${deletion.seconds.toFixed(1)} s; longest delay of the event loop ${deletion.eventLoop.toFixed(1)} ms, of a write ${deletion.write.toFixed(0)} ms`,
    `erased ${erasure.events} events in ${erasure.change.toFixed(2)} s, and rewrote the file in ${erasure.rewrite.toFixed(1)} s`,
  ].join("\n");
}

if (options.help) console.log(USAGE);
else await run(Number(options.events), Number(options.sessions));
