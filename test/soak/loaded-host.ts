import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { CastellanError, Supervisor, session } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { HeldTime } from "./held-time.ts";

/*
 * An application whose sessions run turns continuously, half of them with an idempotency key, so that they must be on
 * disk. It is a process of its own, since it measures its event loop. A line of input ends it.
 */

const [, , sqlite = ""] = process.argv;
const SESSIONS = 8;
const PAUSE_MS = 20;

const RESOLUTION_MS = 5;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const held = new HeldTime(RESOLUTION_MS);
const fake = fakeClaude();
const names = Array.from({ length: SESSIONS }, (_, index) => `s${index}`);
// The first turns load and compile code, which is not the journal's.
await using warm = await Supervisor.start([{ name: "warm", spawnClaudeCodeProcess: fake.spawn }], {
  journal: "memory",
});
for (let turn = 0; turn < 50; turn += 1) await warm.session("warm").query("warm up", { idempotencyKey: `${turn}` });

delay.enable();
held.start();
const began = performance.now();
const supervisor = await Supervisor.start(
  names.map((name) => ({ name, spawnClaudeCodeProcess: fake.spawn })),
  { journal: sqlite === "memory" ? "memory" : { sqlite }, logger: { info: () => {}, warn: () => {} } },
);
const startMs = performance.now() - began;

let ended = false;
createInterface(process.stdin).once("line", () => {
  ended = true;
});
const totals = { completed: 0, refused: {} as Record<string, number>, longestMs: 0 };

async function ask(name: string): Promise<void> {
  for (let turn = 0; !ended; turn += 1) {
    const asked = performance.now();
    try {
      await session(name).query("x".repeat(2_000), turn % 2 === 0 ? { idempotencyKey: `${name} ${turn}` } : {});
      totals.completed += 1;
    } catch (error) {
      const reason = CastellanError.is(error, "JOURNAL_UNAVAILABLE") ? error.details.reason : String(error);
      totals.refused[reason] = (totals.refused[reason] ?? 0) + 1;
    }
    totals.longestMs = Math.max(totals.longestMs, Math.round(performance.now() - asked));
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

process.stdout.write("started\n");
await Promise.all(names.map(ask));
await supervisor.stop();
delay.disable();
held.stop();
const [maxMs, p99Ms] = [delay.max / 1e6, delay.percentile(99) / 1e6];
process.stdout.write(
  `${JSON.stringify({ ...totals, startMs: Math.round(startMs), maxMs, p99Ms, heldMs: held.longestMs })}\n`,
);
process.exit();
