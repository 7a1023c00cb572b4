import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { MARKER } from "../../src/claude/marker.ts";
import { verdictOn } from "../../src/session/process/recycling.ts";
import type { FakeClaude, FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, type Setting, unique } from "./scene.ts";

const MB = 2 ** 20;

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** Opens a scene in which the test dictates how much memory each process uses. */
async function openWithMemory(bytes: (pid: number) => number, setting: Setting) {
  let fake: FakeClaude | undefined;
  const clock = new SimulatedClock();
  const reads: number[] = [];
  const scene = await Scene.open({
    clock,
    script: count,
    ...setting,
    readMemory: async (markers) => {
      reads.push(markers.size);
      const running = fake?.running ?? [];
      return new Map(running.map(({ env, pid }) => [env[MARKER] ?? "", bytes(pid)]));
    },
  });
  fake = scene.fake;
  return { scene, clock, reads };
}

test.each([
  [100, undefined, true, "fine"],
  [100, 100, true, "fine"],
  [101, 100, false, "recycle"],
  [101, 100, true, "recycle"],
  [201, 100, true, "kill"],
  [201, 100, false, "recycle"],
] as const)("verdictOn(): for %d bytes with a limit of %s, busy %s, is %s", (bytes, limit, busy, verdict) => {
  expect(verdictOn(bytes, limit, busy)).toBe(verdict);
});

test("maxMemory: replaces a process over the limit when it is idle, and keeps the conversation", async () => {
  const sizes = [90, 101, 50];
  const { scene, clock } = await openWithMemory(() => (sizes.shift() ?? 50) * MB, { session: { maxMemory: "100MB" } });
  await using _ = scene;
  await query(scene.name, "one");
  await clock.advance(10_000);
  expect(scene.session.status()).toMatchObject({ memoryBytes: 90 * MB, starts: 1 });
  await clock.advance(10_000);
  await eventually(() => scene.session.status().starts === 2 && scene.session.status().state === "idle");
  expect(scene.session.status().memoryBytes).toBeUndefined();
  expect(scene.session.status()).toMatchObject({ restarts: 0, starts: 2 });
  expect((await query(scene.name, "two")).text).toBe("2");
  await clock.advance(60_000);
  expect(scene.fake.processes).toHaveLength(2);
});

test("maxMemory: keeps a process that is over the limit before its first turn, since the next one would be, too", async () => {
  const { scene, clock } = await openWithMemory(() => 150 * MB, { session: { maxMemory: "100MB" } });
  await using _ = scene;
  await clock.advance(60_000);
  expect(scene.session.status()).toMatchObject({ starts: 1, memoryBytes: 150 * MB });
});

test("maxMemory: lets a running turn finish, and runs queued turns in the next process", async () => {
  const gate = Promise.withResolvers<void>();
  const { scene, clock } = await openWithMemory((pid) => (pid % 2 === 0 ? 150 : 50) * MB, {
    session: { maxMemory: "100MB" },
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      await turn.text(`${turn.history.length}`);
    },
  });
  await using _ = scene;
  const turns = [query(scene.name, "long"), query(scene.name, "two")];
  await scene.fake.prompted(1);
  await clock.advance(10_000);
  expect(scene.session.status()).toMatchObject({ state: "busy", starts: 1 });
  gate.resolve();
  expect((await Promise.all(turns)).map(({ text }) => text)).toEqual(["0", "2"]);
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["long"], ["two"]]);
  expect(scene.session.status().restarts).toBe(0);
});

test("maxMemory: waits for a background task until the process uses twice the limit", async () => {
  const sizes = [150, 201];
  const task = { task_id: "t", task_type: "local_bash", description: "grows" };
  const { scene, clock } = await openWithMemory(() => (sizes.shift() ?? 50) * MB, {
    session: { maxMemory: "100MB" },
    script: async (turn) => {
      if (turn.prompt === "start") {
        await turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [task] });
      }
      await turn.text(`${turn.history.length}`);
    },
  });
  await using _ = scene;
  await query(scene.name, "start");
  await clock.advance(10_000);
  expect(scene.session.status()).toMatchObject({ state: "busy", memoryBytes: 150 * MB, starts: 1 });
  await clock.advance(10_000);
  await eventually(() => scene.session.status().starts === 2 && scene.session.status().state === "idle");
  expect(scene.session.status().lastExit).toMatchObject({
    class: "out_of_memory",
    message: expect.stringContaining("201 MB during a background task"),
  });
  expect((await query(scene.name, "two")).text).toBe("2");
});

test('maxMemory: kills a process over twice the limit in mid-turn, and the exit is "out_of_memory"', async () => {
  const { scene, clock } = await openWithMemory((pid) => (pid % 2 === 0 ? 201 : 50) * MB, {
    session: { maxMemory: "100MB" },
    script: async (turn) => {
      await turn.partial("so far");
      await turn.hang();
    },
  });
  await using _ = scene;
  const turn = stream(scene.name, "grow");
  const cut = failure(turn.result(), "TURN_INTERRUPTED");
  for await (const _ of turn.text()) break;
  await clock.advance(10_000);
  const { details } = await cut;
  expect(details.exit).toMatchObject({ class: "out_of_memory", message: expect.stringContaining("201 MB") });
  expect(details.partialText).toBe("so far");
  await eventually(() => scene.session.status().state === "idle");
  expect(scene.session.status()).toMatchObject({ restarts: 1, starts: 2 });
});

test("maxAge: replaces an old process between turns, and a changed age applies at once", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: count, session: { maxAge: "1h" } });
  await query(scene.name, "one");
  await clock.advance(3_599_999);
  expect(scene.session.status().starts).toBe(1);
  await clock.advance(1);
  await eventually(() => scene.session.status().state === "idle" && scene.session.status().starts === 2);
  expect((await query(scene.name, "two")).text).toBe("2");
  await scene.supervisor.reconcile([{ name: scene.name, maxAge: "2h" }]);
  await clock.advance(3_600_000);
  expect(scene.session.status().starts).toBe(2);
  await clock.advance(3_600_000);
  await eventually(() => scene.session.status().starts === 3);
  expect(scene.session.status().restarts).toBe(0);
});

test("capacity.memoryBudget: hibernates the least recently used session until the rest fits", async () => {
  const list = Array.from({ length: 4 }, () => unique());
  const [a, b, c, d] = list as [string, string, string, string];
  let each = 100;
  const { scene, clock } = await openWithMemory(() => each * MB, {
    children: list.map((name) => ({ name, activation: "lazy" })),
    options: { capacity: { memoryBudget: "500MB" } },
  });
  await using _ = scene;
  for (const name of [a, b, c]) {
    await query(name, "hi");
    await clock.advance(1);
  }
  await clock.advance(10_000);
  const states = () => list.map((name) => session(name).status().state);
  expect(states()).toEqual(["idle", "idle", "idle", "hibernated"]);
  each = 200;
  await clock.advance(10_000);
  await eventually(() => scene.fake.running.length === 2);
  expect(states()).toEqual(["hibernated", "idle", "idle", "hibernated"]);
  each = 260;
  // Two processes are over the budget together, and then one is alone.
  await clock.advance(10_000);
  await eventually(() => scene.fake.running.length === 1);
  each = 600;
  await clock.advance(10_000);
  await eventually(() => scene.fake.running.length === 0);
  expect((await query(d, "hi")).text).toBe("0");
  expect(scene.fake.running).toHaveLength(1);
  expect((await query(a, "again")).text).toBe("2");
});

test("maxMemory: measures nothing without a limit or a process", async () => {
  const { scene, clock, reads } = await openWithMemory(() => MB, {});
  await using _ = scene;
  await clock.advance(60_000);
  expect(reads).toEqual([]);
  expect(scene.session.status().memoryBytes).toBeUndefined();
  await scene.supervisor.reconcile([{ name: scene.name, maxMemory: "1GB" }]);
  await clock.advance(10_000);
  expect(reads).toEqual([1]);
  await scene.session.hibernate();
  await clock.advance(60_000);
  expect(reads).toEqual([1]);
});
