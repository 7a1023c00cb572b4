import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { bareSdk } from "./bare-sdk.ts";
import { castellan, enqueue } from "./castellan.ts";
import { noJournal } from "./no-journal.ts";
import { compete, type Score, type Spread } from "./rounds.ts";

/*
 * How many turns a second Castellan gets done with each journal, for one session and for fifty, beside the bare Agent SDK.
 * Claude is a fake in the same process that answers at once, so that only the way to it and back is measured.
 */

const USAGE = `node bench/journal.ts [options]
  --rounds <n>       how often each contender runs (15)
  --only <name>      only this contender; may be given more than once. The first is the base
  --sessions <n>     only with so many sessions
  --turns <n>        how many turns each session is asked in a round (200 of one session, 10 of each of fifty)
  --directory <path> where the files of SQLite are made (a temporary one)
  --json             what came out, for programs`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    only: { type: "string", multiple: true, default: [] },
    sessions: { type: "string" },
    turns: { type: "string" },
    directory: { type: "string", default: tmpdir() },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const SETTINGS = [
  { sessions: 1, turns: 200 },
  { sessions: 50, turns: 10 },
];

if (options.help) console.log(USAGE);
else await run();

async function run(): Promise<void> {
  const directory = await mkdtemp(join(options.directory, "castellan-bench-"));
  const sqlite = (): { sqlite: string } => ({ sqlite: join(directory, `${randomUUID()}.db`) });
  const contenders = [
    bareSdk,
    castellan("no journal", noJournal),
    castellan("memory", () => "memory"),
    castellan("sqlite", sqlite),
    castellan("sqlite, enqueue", sqlite, enqueue),
  ].filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const results: { sessions: number; scores: Score[] }[] = [];
  for (const { sessions, turns } of SETTINGS) {
    if (options.sessions !== undefined && sessions !== Number(options.sessions)) continue;
    const settings = { rounds: Number(options.rounds), sessions, turns: Number(options.turns ?? turns) };
    results.push({ sessions, scores: await compete(contenders, settings) });
  }
  await rm(directory, { recursive: true });
  const machine = { node: process.version, cpus: availableParallelism(), rounds: Number(options.rounds) };
  console.log(options.json ? JSON.stringify({ ...machine, results }, null, 2) : tableOf(results));
}

function tableOf(results: readonly { readonly sessions: number; readonly scores: readonly Score[] }[]): string {
  const table = new Table({ head: ["sessions", "", "turns/s", "min..max", "to the first", "min..max"] });
  for (const { sessions, scores } of results) {
    for (const { contender, turnsPerSecond, ratio } of scores) {
      table.push([sessions, contender, ...cells(turnsPerSecond, 0), ...cells(ratio, 2)]);
    }
  }
  return table.toString();
}

function cells({ median, min, max }: Spread, digits: number): [string, string] {
  return [median.toFixed(digits), `${min.toFixed(digits)}..${max.toFixed(digits)}`];
}
