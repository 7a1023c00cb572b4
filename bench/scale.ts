import { randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { forked } from "./forked.ts";
import { realClaude } from "./ground.ts";
import { type PopulationReport, populate } from "./population.ts";
import { randomFrom } from "./random.ts";
import type { HostReport } from "./scale-host.ts";

/*
 * Ten thousand named sessions on one host, with sixteen processes, as Node is and when it is told to be small; then two hundred with twelve of the real Claude Code. The fake
 * processes live in another process, so that the memory is the host's own.
 */

const MAX_RSS_MB = 300;

/** Has Node keep less garbage, for which it collects more often. The budget for memory is for a host that asks for that. */
const SMALL = "--optimize-for-size";

const USAGE = `npm run bench:scale -- [options]
  --names <n>       how many names there are on the fake (10000)
  --real-names <n>  how many on the real Claude Code (200); 0 for none
  --seed <n>        for the order in which they are asked (by chance)
  --check           exit with 1 if an answer is wrong, there is a process too many, or the memory is over ${MAX_RSS_MB} MB
  --json            what came out, for programs
  --help            this text`;

const { values: options } = parseArgs({
  options: {
    names: { type: "string", default: "10000" },
    "real-names": { type: "string", default: "200" },
    seed: { type: "string", default: String(randomInt(2 ** 32 - 1)) },
    check: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

interface Result extends PopulationReport {
  readonly on: string;
  readonly names: number;
  readonly maxProcesses: number;
  /** At a time. */
  readonly mostProcesses: number;
  /** The most resident memory of the host, besides its processes. Not of the real ones, whose mock API lives in the host. */
  readonly rssMegabytes?: number;
}

if (options.help) console.log(USAGE);
else await run();

async function run(): Promise<void> {
  const seed = Number(options.seed);
  if (!options.json) console.log(`seed ${seed}`);
  const directory = await mkdtemp(join(tmpdir(), "castellan-scale-"));
  const results = [
    await onFake(directory, Number(options.names), seed),
    await onFake(directory, Number(options.names), seed, [SMALL]),
  ];
  const real = Number(options["real-names"]);
  if (real > 0) results.push(await onReal(directory, real, seed));
  await rm(directory, { recursive: true });
  const machine = { node: process.version, cpus: availableParallelism(), seed };
  const judged = results.map((result) => ({ ...result, met: isRight(result) && isSmall(result) }));
  console.log(options.json ? JSON.stringify({ ...machine, results: judged }, null, 2) : tableOf(judged));
  // As Node is by itself it is not expected to be small.
  const asWanted = results.every((result) => isRight(result) && (isSmall(result) || !result.on.includes(SMALL)));
  if (options.check && !asWanted) process.exitCode = 1;
}

/** @param flags of Node, for the host */
async function onFake(directory: string, names: number, seed: number, flags: readonly string[] = []): Promise<Result> {
  const maxProcesses = 16;
  const args = [directory, ...[names, maxProcesses, seed].map(String)];
  const report = await forked<HostReport>("./scale-host.ts", args, flags);
  return { on: ["fake", ...flags].join(" "), names, maxProcesses, ...report };
}

async function onReal(directory: string, names: number, seed: number): Promise<Result> {
  const ground = await realClaude();
  let most = 0;
  const report = await populate({
    names,
    maxProcesses: 12,
    callers: 16,
    random: randomFrom(seed),
    journal: { sqlite: join(directory, "real.db") },
    defaults: ground.options,
    answered: (supervisor) => {
      const known = supervisor.listSessions().filter(({ pid }) => pid !== undefined).length;
      most = Math.max(most, claudeChildren() ?? known);
    },
  });
  await ground.close();
  return { on: "real claude", names, maxProcesses: 12, mostProcesses: most, ...report };
}

function isRight({ wrong, mostProcesses, maxProcesses }: Result): boolean {
  return wrong === 0 && mostProcesses <= maxProcesses;
}

function isSmall({ rssMegabytes }: Result): boolean {
  return (rssMegabytes ?? 0) < MAX_RSS_MB;
}

function tableOf(results: readonly (Result & { readonly met: boolean })[]): string {
  const head = ["processes", "names", "turns", "wrong", "turns/s", "processes at a time", "host RSS, most", "met"];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const { on, names, turns, wrong, seconds, mostProcesses, maxProcesses, rssMegabytes, met } of results) {
    const speed = (turns / seconds).toFixed(1);
    const memory = rssMegabytes === undefined ? "" : `${rssMegabytes.toFixed(0)} MB`;
    const processes = `${mostProcesses} of ${maxProcesses}`;
    table.push([on, names, turns, wrong, speed, processes, memory, met ? "yes" : "no"]);
  }
  return table.toString();
}

/** How many processes of Claude Code this process has; `undefined` where the system does not tell. */
function claudeChildren(): number | undefined {
  try {
    const children = readdirSync("/proc/self/task").flatMap((task) =>
      readFileSync(`/proc/self/task/${task}/children`, "latin1").split(" ").filter(Boolean),
    );
    return children.filter(isClaude).length;
  } catch {
    return undefined;
  }
}

function isClaude(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--input-format");
  } catch {
    // Gone meanwhile.
    return false;
  }
}
