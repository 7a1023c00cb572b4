import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const HOST = new URL("./crowded-host.ts", import.meta.url).pathname;
const [NAMES, TURNS, PROCESSES] = [10_000, 5_000, 8];

/**
 * The longest synchronous work of a start without a list of children, in milliseconds. A loaded machine takes longer.
 */
const MOST_MS = 500;

it.each([
  ["children", "names"],
  ["sessions of a template", "template"],
])(
  `Supervisor.start with ${NAMES} %s and ${TURNS} accepted turns: loses and refuses none, on ${PROCESSES} processes`,
  {
    timeout: 300_000,
  },
  async (_, kind) => {
    const args = [HOST, kind, NAMES, TURNS, PROCESSES].map(String);
    const { stdout } = await promisify(execFile)(process.execPath, args);
    console.log(stdout.trim());
    const { figures, mostProcesses, ...report } = JSON.parse(stdout);
    expect(report).toMatchObject({ notStarted: 0, ends: { completed: TURNS }, wrong: [], warnings: [], unhandled: [] });
    expect(mostProcesses).toBeLessThanOrEqual(PROCESSES);
    if (kind === "template") expect(figures.cpuMs).toBeLessThan(MOST_MS);
  },
);
