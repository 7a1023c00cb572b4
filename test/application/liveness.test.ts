import type { PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { failure, Scene, ticks, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

/** Lets time pass in steps in which questions to the process can be answered. */
async function pass(clock: SimulatedClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    await ticks(5);
    await clock.advance(100);
  }
  await ticks(5);
}

/** A session that is killed after two silent seconds; its first turn is answered, the second one as `script` says. */
async function silent(script: FakeScript, session: object = {}) {
  const clock = new SimulatedClock();
  const scene = await Scene.open({
    clock,
    session: { stallTimeout: "2s", ...session },
    script: (turn) => (turn.index === 1 ? script(turn) : turn.text(`after ${turn.history.length}`)),
  });
  await query(scene.name, "one");
  return { clock, scene };
}

test("a process that is silent in mid-turn for `stallTimeout` is killed, and the turn runs on the next one", async () => {
  const { clock, scene } = await silent((turn) => turn.hang());
  await using _ = scene;
  const reply = query(scene.name, "two");
  await scene.fake.prompted(2);
  await pass(clock, 1_900);
  expect(scene.fake.running).toHaveLength(1);
  expect((await within(clock, reply)).text).toBe("after 2");
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGKILL"]);
  expect(scene.session.status()).toMatchObject({ restarts: 1, starts: 2, lastExit: { class: "stalled" } });
  expect(scene.session.status().lastExit?.message).toContain("said nothing for 2s");
});

test("a turn that had begun to answer is told what had arrived, and the conversation goes on", async () => {
  const { clock, scene } = await silent(async (turn) => {
    await turn.partial("so f");
    await turn.hang();
  });
  await using _ = scene;
  const cut = failure(query(scene.name, "two"), "TURN_INTERRUPTED");
  const { details } = await within(clock, cut);
  expect(details).toMatchObject({ partialText: "so f", exit: { class: "stalled" } });
  expect((await within(clock, query(scene.name, "three"))).text).toMatch(/^after [2-4]$/);
});

test("each word of the process counts as a sign of life", async () => {
  const words: (() => Promise<void>)[] = [];
  const { clock, scene } = await silent(async (turn) => {
    words.push(() => turn.partial("word "));
    await turn.hang();
  });
  await using _ = scene;
  const turn = stream(scene.name, "two");
  await scene.fake.prompted(2);
  await ticks(5);
  for (let n = 0; n < 4; n++) {
    await pass(clock, 1_500);
    await words[0]?.();
  }
  expect(scene.session.status()).toMatchObject({ state: "busy", starts: 1 });
  await turn.interrupt();
  await failure(turn.result(), "TURN_INTERRUPTED");
});

test("an idle process may be silent for as long as it likes", async () => {
  const { clock, scene } = await silent(() => {});
  await using _ = scene;
  await pass(clock, 10_000);
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 1, restarts: 0 });
});

const never = Promise.withResolvers<never>().promise;

test.each<[string, FakeScript, object]>([
  ["a tool runs", (turn) => void turn.toolUse("Bash", {}, { hang: true }), {}],
  [
    "a hook of the application is pending",
    (turn) => void turn.hook("PreCompact"),
    { hooks: { PreCompact: [{ hooks: [() => never] }] } },
  ],
  [
    "`canUseTool` is pending",
    (turn) => void turn.askPermission("Bash", {}),
    { canUseTool: (): Promise<PermissionResult> => never },
  ],
])("silence means nothing while %s", async (_, work, options) => {
  const { clock, scene } = await silent(async (turn) => {
    await work(turn);
    await turn.hang();
  }, options);
  await using _scene = scene;
  const turn = stream(scene.name, "two");
  await scene.fake.prompted(2);
  await pass(clock, 10_000);
  expect(scene.session.status()).toMatchObject({ starts: 1, restarts: 0 });
  expect(scene.fake.processes[0]?.signals).toEqual([]);
  await turn.interrupt();
  await failure(turn.result(), "TURN_INTERRUPTED");
});

test("silence after a tool is done counts again", async () => {
  const { clock, scene } = await silent(async (turn) => {
    await turn.toolUse("Bash", {}, { result: "done" });
    await turn.hang();
  });
  await using _ = scene;
  const { details } = await within(clock, failure(query(scene.name, "two"), "TURN_INTERRUPTED"));
  expect(details).toMatchObject({ toolUses: [{ name: "Bash" }], exit: { class: "stalled" } });
});

test("a process that has been stopped is found by asking it, also when it is idle, and replaced", async () => {
  const { clock, scene } = await silent((turn) => turn.text(`after ${turn.history.length}`));
  await using _ = scene;
  scene.fake.processes[0]?.kill("SIGSTOP");
  await pass(clock, 1_000);
  expect(scene.fake.running).toHaveLength(1);
  await within(clock, scene.fake.started(2));
  expect(scene.fake.processes[0]?.exit).toMatchObject({ signal: "SIGKILL" });
  expect(scene.session.status()).toMatchObject({ restarts: 1, lastExit: { class: "stalled" } });
  expect((await query(scene.name, "three")).text).toBe("after 2");
});

test("by default a stopped process is found within a minute", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  await query(scene.name, "one");
  scene.fake.processes[0]?.freeze();
  await pass(clock, 60_000);
  expect(scene.fake.processes[0]?.exit).toMatchObject({ signal: "SIGKILL" });
  await within(clock, scene.fake.started(2));
  expect(scene.session.status().lastExit?.class).toBe("stalled");
});

test("a session that is stopped is no longer asked", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, session: { stallTimeout: "2s" } });
  await pass(clock, 1_000);
  await within(clock, scene.supervisor.stop());
  expect(clock.timers).toBe(0);
});
