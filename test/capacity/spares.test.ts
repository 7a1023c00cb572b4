import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { capacitySettings } from "../../src/application/options/capacity-options.ts";
import { Capacity } from "../../src/capacity/capacity.ts";
import { MemoryWatch } from "../../src/capacity/memory-watch.ts";
import { Spares } from "../../src/capacity/spares.ts";
import type { Shape } from "../../src/claude/fingerprint.ts";
import { OtherAgent } from "../session/other-agent.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";

const shape = (model: string): Shape => ({ options: { model } });
const spawned: Shape = {
  options: {
    spawnClaudeCodeProcess: () => {
      throw new Error("not called");
    },
  },
};

/** Makes spares on an agent without processes. @param limit undefined for the default */
function scene(limit?: number, maxProcesses?: number) {
  const [clock, agent] = [new SimulatedClock(), new OtherAgent()];
  const capacity = new Capacity(maxProcesses);
  const memory = new MemoryWatch(
    clock,
    async () => new Map(),
    () => {},
  );
  const allowed = { limit: limit ?? 1, byDefault: limit === undefined };
  const spares = new Spares(allowed, capacity, memory, { clock, newId: randomUUID, startActivation: agent.start });
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    await settle();
  };
  const holder = { idleSince: undefined, resumes: false, ahead: false, hibernate: () => false };
  return { clock, agent, capacity, spares, pass, holder };
}

test("Spares: by default, keep one for the template that was added first, and replace it once it is used", async () => {
  const { agent, spares, pass, holder, capacity } = scene();
  spares.keep("a", shape("opus"));
  spares.keep("b", shape("haiku"));
  await pass(1_000);
  expect(spares.status).toMatchObject({ ready: 1, starting: 0 });
  expect(spares.claim(shape("haiku"), true, holder)).toBeUndefined();
  expect(spares.claim(shape("opus"), false, holder)).toBeUndefined();
  expect(spares.claim(shape("opus"), true, holder)?.activation).toBe(agent.activations[0]);
  await pass(1_000);
  expect(spares.status).toMatchObject({ ready: 1, hits: 1 });
  expect(capacity.taken).toBe(2);
});

test("Spares: by default, have none for other sessions, for pools, and for processes that the application spawns", async () => {
  const { agent, spares, pass } = scene();
  spares.keep("a", spawned);
  spares.expect(shape("opus"));
  for (let request = 0; request < 3; request++) spares.missed(shape("opus"), true);
  await pass(60_000);
  expect(agent.activations).toEqual([]);
  expect(spares.status).toEqual({ ready: 0, starting: 0, hits: 0, misses: {}, unused: {} });
});

test.each([
  [1, 0],
  [3, 0],
  [4, 1],
  [undefined, 1],
])("capacitySettings(): of %s processes, %i may be a spare by default", (maxProcesses, spares) => {
  const options = maxProcesses === undefined ? {} : { maxProcesses };
  expect(capacitySettings(options).spares).toBe(spares);
  expect(capacitySettings({ ...options, spares: 2 }).spares).toBe(2);
});

test("Spares: with a limit, keep one for each template, also of processes that the application spawns", async () => {
  const { spares, pass } = scene(2, 2);
  spares.keep("a", spawned);
  spares.keep("b", shape("haiku"));
  await pass(5_000);
  expect(spares.status.ready).toBe(2);
});

test("Spares: follow the options of a template, and leave with it", async () => {
  const { spares, pass, holder, capacity } = scene(1);
  spares.keep("a", shape("opus"));
  await pass(1_000);
  spares.keep("a", shape("haiku"));
  await pass(5_000);
  expect(spares.status).toMatchObject({ ready: 1, unused: { expired: 1 } });
  expect(spares.claim(shape("haiku"), true, holder)).toBeDefined();
  await pass(5_000);
  spares.keep("a", undefined);
  // What was wanted in the last ten minutes may be wanted again, but not what was wanted once.
  await pass(5_000);
  expect(spares.status).toMatchObject({ ready: 0, starting: 0 });
  expect(capacity.taken).toBe(1);
});

test("Spares: one that dies is replaced later each time, until one is used", async () => {
  const { agent, spares, pass, holder } = scene();
  spares.keep("a", shape("opus"));
  await pass(600);
  const waits: number[] = [];
  const died = async (): Promise<void> => {
    const before = agent.activations.length;
    await agent.activations.at(-1)?.exit({ class: "crash", message: "killed" });
    await settle();
    let waited = 0;
    for (; agent.activations.length === before; waited += 500) await pass(500);
    waits.push(waited);
  };
  for (let time = 0; time < 4; time++) await died();
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(spares.claim(shape("opus"), true, holder)).toBeDefined();
  await pass(600);
  await died();
  expect(waits.at(-1)).toBe(1_000);
});

test("Spares: one that gives way returns later each time, until one is used", async () => {
  const { agent, spares, pass, capacity } = scene(1, 1);
  spares.keep("a", shape("opus"));
  await pass(600);
  const waits: number[] = [];
  for (let time = 0; time < 3; time++) {
    const [before, left] = [agent.activations.length, new AbortController()];
    const wants = { idleSince: undefined, resumes: false, ahead: false, hibernate: () => false };
    const slot = await capacity.wait(wants, left.signal);
    slot.release();
    await settle();
    let waited = 0;
    for (; agent.activations.length === before; waited += 1_000) await pass(1_000);
    waits.push(waited);
  }
  expect(waits).toEqual([30_000, 60_000, 120_000]);
  expect(spares.status.unused).toEqual({ evicted: 3 });
});

test("Spares: end with their supervisor", async () => {
  const { agent, spares, pass, capacity } = scene();
  spares.keep("a", shape("opus"));
  await pass(600);
  await spares.close();
  await pass(60_000);
  expect(agent.activations.map(({ ending }) => ending)).toEqual([true]);
  expect(capacity.taken).toBe(0);
});
