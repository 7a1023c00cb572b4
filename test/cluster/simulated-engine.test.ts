import { describe, it } from "vitest";
import { type EngineBench, engineConformance } from "./engine-conformance.ts";
import { Chance } from "./simulated-chance.ts";
import { SimulatedEngine } from "./simulated-engine.ts";
import { engineLine, SimulatedEnginePort } from "./simulated-engine-port.ts";
import type { SimulatedChange } from "./simulated-journal.ts";
import { SimulatedMachine } from "./simulated-machine.ts";
import { SimulatedTime } from "./simulated-time.ts";

/** Advances simulated time until the test is over. */
async function runUntil(time: SimulatedTime, isOver: () => boolean): Promise<void> {
  while (!isOver()) await time.run(time.now + 1);
}

async function bench(): Promise<EngineBench> {
  const time = new SimulatedTime();
  const engine = new SimulatedEngine(() => time.now);
  const port = (name: string): SimulatedEnginePort =>
    new SimulatedEnginePort(engine, engineLine(), new SimulatedMachine(name, time), time, new Chance(name));
  let isOver = false;
  const gone = runUntil(time, () => isOver);
  const write = (key: string, change: SimulatedChange): void =>
    engine.journal.write({ at: time.now, boot: "", key, epoch: 0, change, owned: true, again: false });
  return {
    engines: [port("one"), port("other"), port("third")],
    advance: async (ms) => engine.jump(ms),
    accepted: async (key, turn) =>
      write(key, { type: "accepted", turn, prompt: "", acceptedAt: 0, timeoutMs: undefined }),
    described: async (key, description) => engine.describe(key, description),
    enqueued: async (key, job, priority = 0, dueInMs = 0) => engine.addJob(key, job, priority, time.now + dueInMs),
    scheduled: async (key, job, dueInMs) => engine.addJob(key, job, 0, time.now + dueInMs, false),
    dropped: async (job) => engine.dropJob(job),
    ended: async (turn) => write("", { type: "ended", turn, state: "completed", outcome: {} }),
    async [Symbol.asyncDispose]() {
      isOver = true;
      await gone;
    },
  };
}

describe("SimulatedEngine", () => {
  for (const { name, run } of engineConformance(bench)) it(name, run);
});
