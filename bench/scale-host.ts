import { join } from "node:path";
import { FarClaude } from "./far-claude.ts";
import { type PopulationReport, populate } from "./population.ts";
import { randomFrom } from "./random.ts";

/* Runs ten thousand sessions in this process, and reports the result to its parent. */

export interface HostReport extends PopulationReport {
  /** The peak number of concurrent processes. */
  readonly mostProcesses: number;
  /** The peak resident memory of the host, without its processes. */
  readonly rssMegabytes: number;
}

const [directory = ".", names, maxProcesses, seed] = process.argv.slice(2);
await using far = await FarClaude.start();
const report = await populate({
  names: Number(names),
  maxProcesses: Number(maxProcesses),
  callers: 32,
  random: randomFrom(Number(seed)),
  journal: { sqlite: join(directory, `${process.pid}.db`) },
  defaults: { spawnClaudeCodeProcess: far.spawn },
});
const { most } = await far.count();
const rssMegabytes = process.resourceUsage().maxRSS / 1_024;
process.send?.({ ...report, mostProcesses: most, rssMegabytes } satisfies HostReport);
process.disconnect();
