import { expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query } from "../../src/castellan.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, RejectionWatch, Scene, unique, within } from "./scene.ts";

test("Handshake: retries after a crash, and the start succeeds", async () => {
  await using scene = await Scene.open({ fake: { startup: (process, n) => (n === 1 ? process.crash() : undefined) } });
  expect(scene.supervisor.notStarted).toEqual([]);
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 2, restarts: 1 });
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
});

test("Handshake: crashes during a restart lose neither the turn nor the conversation", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.text(`${turn.history.length}`),
    fake: { startup: (process, n) => (n === 2 || n === 3 ? process.crash({ signal: "SIGSEGV" }) : undefined) },
  });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  expect((await query(scene.name, "two")).text).toBe("2");
  expect(scene.fake.processes).toHaveLength(4);
});

test("Handshake: is abandoned after a minute without an answer, and retried", async () => {
  const clock = new SimulatedClock();
  const name = unique();
  const fake = fakeClaude(undefined, { startup: (_, n) => (n === 1 ? new Promise(() => {}) : undefined) });
  const starting = Supervisor.startWith(
    [{ name }],
    { defaults: { spawnClaudeCodeProcess: fake.spawn } },
    { clock, newId: () => crypto.randomUUID(), random: () => 0.5 },
  );
  await eventually(() => fake.processes.length === 1);
  await clock.advance(59_999);
  expect(fake.processes).toHaveLength(1);
  await clock.advance(1);
  await using supervisor = await within(clock, starting);
  expect(fake.processes[0]?.signals).toEqual(["SIGKILL"]);
  expect(supervisor.session(name).status()).toMatchObject({ state: "idle", starts: 2 });
  expect(supervisor.session(name).status().lastExit?.message).toContain("handshake");
  expect((await query(name, "hi")).text).toBe("You said: hi");
});

test("Supervisor.start(): quarantines a session whose process cannot be spawned, with the reason", async () => {
  const watch = new RejectionWatch();
  const name = unique();
  await using supervisor = await Supervisor.start([{ name }], {
    logger: { info: () => {}, warn: () => {} },
    defaults: {
      spawnClaudeCodeProcess: () => {
        throw new Error("no such machine");
      },
    },
  });
  expect(supervisor.notStarted.map((one) => one.name)).toEqual([name]);
  expect(supervisor.notStarted[0]?.error.message).toContain("no such machine");
  await failure(query(name, "hi"), "SESSION_QUARANTINED");
  await watch.end();
});

test("Supervisor.notStarted: contains Claude Code's words when it refuses to start", async () => {
  const name = unique();
  await using scene = await Scene.open({
    children: [{ name }],
    fake: { startup: (process) => process.failStart("Invalid setting: nonsense") },
  });
  expect(scene.supervisor.notStarted[0]?.error.message).toContain("Invalid setting: nonsense");
});

test("Handshake: ignores messages before it", async () => {
  await using scene = await Scene.open({
    fake: { startup: (process) => process.write('{"type":"system","subtype":"hello","session_id":"x","uuid":"y"}\n') },
  });
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
});

test("Handshake: turns keep their order when it fails", async () => {
  await using scene = await Scene.open({ fake: { startup: (process, n) => (n === 2 ? process.crash() : undefined) } });
  scene.fake.processes[0]?.crash();
  const replies = await Promise.all(["a", "b", "c"].map((prompt) => query(scene.name, prompt)));
  expect(replies.map(({ text }) => text)).toEqual(["You said: a", "You said: b", "You said: c"]);
  expect(scene.fake.processes.at(-1)?.prompts).toEqual(["a", "b", "c"]);
});
