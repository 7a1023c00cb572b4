import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { accepted } from "./accepted.ts";
import { fakeCost } from "./fake-cost.ts";

import { firstToken } from "./first-token.ts";

import { growth } from "./growth.ts";

import { hibernatedMemory } from "./hibernated-memory.ts";
import { journals } from "./journals.ts";
import { isMet, type Line, type Row } from "./line.ts";
import { longPrompts } from "./long-prompts.ts";
import { loop } from "./loop.ts";
import { restart } from "./restart.ts";
import { server } from "./server.ts";
import { start } from "./start.ts";
import { STEADY } from "./steady.ts";
import { streaming } from "./streaming.ts";
import { tableOf } from "./table.ts";
import { turns } from "./turns.ts";
import { wake } from "./wake.ts";
import { warmTurn } from "./warm-turn.ts";

/*
 * Compares Castellan to the bare Agent SDK, alternating in one run, with the same processes: a fake in this process, a fake in a separate
 * process, and the real Claude Code on a model API that answers at once.
 */

const LINES: readonly Line[] = [
  fakeCost,
  turns,
  streaming,
  warmTurn,
  restart,
  wake,
  firstToken,
  start,
  accepted,
  hibernatedMemory,
  longPrompts,
  journals,
  server,
  loop,
  growth,
];

const USAGE = `npm run bench -- [options]
  --only <line>      run only this line; repeatable:
                     ${LINES.map(({ name }) => name).join(", ")}
  --rounds <n>       how many rounds each line has (from ${Math.min(...LINES.map(({ rounds }) => rounds))} to ${Math.max(...LINES.map(({ rounds }) => rounds))}, by line)
  --directory <path> the folder of journal files (a temporary one)
  --check            run the lines that are steady on a busy machine, and exit with 1 if a figure misses its limit:
                     ${STEADY.map(({ name }) => name).join(", ")}
  --json             print JSON
  --help             this text`;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    directory: { type: "string", default: tmpdir() },
    check: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) console.log(USAGE);
else await run();

async function run(): Promise<void> {
  const lines = options.check ? STEADY : LINES;
  const unknown = options.only.filter((name) => !lines.some((line) => line.name === name));
  if (unknown.length > 0) throw new Error(`unknown line ${unknown.join(", ")}; see --help`);
  const directory = await mkdtemp(join(options.directory, "castellan-bench-"));
  const rows: Row[] = [];
  for (const line of lines) {
    if (options.only.length > 0 && !options.only.includes(line.name)) continue;
    if (!options.json) process.stderr.write(`${line.name} …\n`);
    rows.push(...(await line.measure({ rounds: Number(options.rounds ?? line.rounds), directory })));
  }
  await rm(directory, { recursive: true });
  const machine = { node: process.version, cpus: availableParallelism() };
  const judged = rows.map((row) => ({ ...row, met: isMet(row) }));
  console.log(options.json ? JSON.stringify({ ...machine, rows: judged }, null, 2) : tableOf(rows));
  if (options.check && judged.some(({ met }) => met === false)) process.exitCode = 1;
}
