import { randomInt } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { realClaude } from "./backend.ts";
import { forked } from "./forked.ts";
import { type PopulationReport, populate } from "./population.ts";
import { randomFrom } from "./random.ts";
import type { HostReport } from "./scale-host.ts";

/*
 * Runs ten thousand named sessions on one host with sixteen processes, with Node's defaults and with `--optimize-for-size`. Then runs two
 * hundred with twelve processes of the real Claude Code. The fake processes run in another process, so that they use no memory of the host.
 */

const MAX_RSS_MB = 300;

/** Makes Node collect garbage more often. The memory budget applies to a host with this flag. */
const SMALL = "--optimize-for-size";

const USAGE = `npm run bench:scale -- [options]
  --names <n>       the number of names on the fake (10000)
  --real-names <n>  the number on the real Claude Code (200); 0 for none
  --seed <n>        the seed of the query order (random)
  --check           exit with 1 if an answer is wrong, there is a process too many, or the memory is over ${MAX_RSS_MB} MB
  --json            print JSON
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
  /** The peak number of concurrent processes. */
  readonly mostProcesses: number;
  /** The peak resident memory of the host, without its processes. Omitted for the real Claude Code, whose mock API runs in the host. */
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
  // The memory budget does not apply to Node's defaults.
  const asWanted = results.every((result) => isRight(result) && (isSmall(result) || !result.on.includes(SMALL)));
  if (options.check && !asWanted) process.exitCode = 1;
}

/** @param flags the Node flags of the host */
async function onFake(directory: string, names: number, seed: number, flags: readonly string[] = []): Promise<Result> {
  const maxProcesses = 16;
  const args = [directory, ...[names, maxProcesses, seed].map(String)];
  const report = await forked<HostReport>("./scale-host.ts", args, flags);
  return { on: ["fake", ...flags].join(" "), names, maxProcesses, ...report };
}

async function onReal(directory: string, names: number, seed: number): Promise<Result> {
  const backend = await realClaude();
  let most = 0;
  const report = await populate({
    names,
    maxProcesses: 12,
    callers: 16,
    random: randomFrom(seed),
    journal: { sqlite: join(directory, "real.db") },
    defaults: backend.options,
    answered: (supervisor) => {
      const known = supervisor.listSessions().filter(({ pid }) => pid !== undefined).length;
      most = Math.max(most, claudeChildren() ?? known);
    },
  });
  await backend.close();
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

/** The number of Claude Code processes that are children of this process; `undefined` on systems that do not report it. */
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
    // The process has exited.
    return false;
  }
}
