import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { FarClaude } from "../../bench/far-claude.ts";
import { Supervisor, template } from "../../src/index.ts";
import type { Change } from "../../src/journal/model/change.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { nameKey } from "../../src/names.ts";
import { HeldTime } from "./held-time.ts";

/*
 * An application that finds ten thousand names and five thousand accepted turns in its journal, and runs them on few
 * processes. It is a process of its own, since it measures its memory and its event loop.
 */

const [, , kind = "names", names = "10000", turns = "5000", processes = "8"] = process.argv;
const RESOLUTION_MS = 5;
const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const directory = mkdtempSync(join(tmpdir(), "castellan-crowd-"));
const sqlite = join(directory, "journal.db");
const keyOf = (index: number): string => nameKey(["user", index]);
const idOf = (index: number): string => `turn-of-${index}`;

async function fill(): Promise<void> {
  const journal = sqliteJournal({ sqlite });
  await journal.open({ id: "filler", pid: process.pid, host: "here", startedAt: 0 });
  const now = Date.now();
  let number = 0;
  const write = async (changes: readonly Change[]): Promise<void> => {
    number += 1;
    await journal.write({ number, changes, durable: false });
  };
  for (let from = 0; from < Number(names); from += 500) {
    const indexes = Array.from({ length: Math.min(500, Number(names) - from) }, (_, at) => from + at);
    await write(
      indexes.flatMap((index): Change[] => {
        const id = `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
        const session = keyOf(index);
        const memory = { conversation: { kind: "kept", id, empty: false, cut: false }, origin: {}, totals: {} };
        const saved = { key: session, supervisor: "crowd", conversationId: id, memory, savedAt: now };
        const turn = {
          id: idOf(index),
          session,
          prompt: `prompt ${index}`,
          position: 1,
          durable: true,
          acceptedAt: now,
        };
        return [
          { type: "session_saved", session: saved },
          ...(index < Number(turns) ? [{ type: "turn_accepted", turn } as const] : []),
        ];
      }),
    );
  }
  await journal.close();
}

await fill();
const far = await FarClaude.start();
const children =
  kind === "template"
    ? [template("user")]
    : Array.from({ length: Number(names) }, (_, index) => ({
        name: ["user", index] as const,
        activation: "lazy" as const,
      }));
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const held = new HeldTime(RESOLUTION_MS);
let mostRss = 0;
const rss = (): void => {
  mostRss = Math.max(mostRss, process.memoryUsage.rss());
};
const watch = setInterval(rss, 20);
const restRss = process.memoryUsage.rss();
const warnings: string[] = [];
delay.enable();
held.start();
const began = performance.now();
const supervisor = await Supervisor.start(children, {
  name: "crowd",
  journal: { sqlite },
  capacity: { maxProcesses: Number(processes) },
  logger: { info: () => {}, warn: (message) => void warnings.push(message) },
  defaults: { spawnClaudeCodeProcess: far.spawn },
});
const startMs = Math.round(performance.now() - began);
rss();
const atStart = {
  maxMs: Math.round(delay.max / 1e6),
  heldMs: Math.round(held.longestMs),
  cpuMs: Math.round(held.longestCpuMs),
  rss: mostRss,
};
delay.reset();
const ends: Record<string, number> = {};
const wrong: string[] = [];
let next = 0;
const follow = async (): Promise<void> => {
  while (next < Number(turns)) {
    const index = next++;
    const outcome = await supervisor
      .session(["user", index])
      .turn(idOf(index))
      .then((turn) => turn?.result())
      .then(
        (reply) => (reply === undefined ? "lost" : "completed"),
        (error: Error & { code?: string }) => error.code ?? String(error),
      );
    ends[outcome] = (ends[outcome] ?? 0) + 1;
    if (outcome !== "completed") wrong.push(`${index} ${outcome}`);
  }
};
await Promise.all(Array.from({ length: 64 }, follow));
const allMs = Math.round(performance.now() - began);
const { most, started } = await far.count();
held.stop();
const figures = {
  cpuMs: Math.round(held.longestCpuMs),
  maxMs: Math.round(delay.max / 1e6),
  p99Ms: Math.round(delay.percentile(99) / 1e6),
  heldMs: Math.round(held.longestMs),
};
const stopBegan = performance.now();
await supervisor.stop();
const stopMs = Math.round(performance.now() - stopBegan);
clearInterval(watch);
held.stop();
const mb = (bytes: number): number => Math.round(bytes / 2 ** 20);
process.stdout.write(
  `${JSON.stringify({
    kind,
    notStarted: supervisor.notStarted.length,
    startMs,
    atStart: { ...atStart, rss: mb(atStart.rss) },
    allMs,
    stopMs,
    ends,
    wrong: wrong.slice(0, 5),
    figures,
    restRss: mb(restRss),
    mostRss: mb(mostRss),
    mostProcesses: most,
    started,
    warnings: warnings.slice(0, 3),
    unhandled,
  })}\n`,
);
rmSync(directory, { recursive: true, force: true });
process.exit();
