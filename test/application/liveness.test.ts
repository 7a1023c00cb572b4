import type { PermissionResult } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { failure, Scene, ticks, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

/** Advances the clock in steps that let the process answer pings. */
async function pass(clock: SimulatedClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    await ticks(5);
    await clock.advance(100);
  }
  await ticks(5);
}

/** Opens a session with a `stallTimeout` of two seconds. Its first turn is answered, and the second runs `script`. */
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

test("stallTimeout: kills a process that is silent in mid-turn, and the turn runs on the next one", async () => {
  const { clock, scene } = await silent((turn) => turn.hang());
  await using _ = scene;
  const reply = query(scene.name, "two");
  await scene.fake.prompted(2);
  await pass(clock, 1_900);
  expect(scene.fake.running).toHaveLength(1);
  expect((await within(clock, reply)).text).toBe("after 2");
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGKILL"]);
  expect(scene.session.status()).toMatchObject({ restarts: 1, starts: 2, lastExit: { class: "stalled" } });
  expect(scene.session.status().lastExit?.message).toContain("no output for 2s");
});

test("stallTimeout: rejects a turn that had begun to answer with its partial text, and the conversation continues", async () => {
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

test("stallTimeout: counts each message as a sign of life", async () => {
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

test("stallTimeout: ignores the silence of an idle process", async () => {
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
])("stallTimeout: ignores silence while %s", async (_, work, options) => {
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

test("stallTimeout: counts silence after a tool has ended", async () => {
  const { clock, scene } = await silent(async (turn) => {
    await turn.toolUse("Bash", {}, { result: "done" });
    await turn.hang();
  });
  await using _ = scene;
  const { details } = await within(clock, failure(query(scene.name, "two"), "TURN_INTERRUPTED"));
  expect(details).toMatchObject({ toolUses: [{ name: "Bash" }], exit: { class: "stalled" } });
});

test("Liveness: pings find a stopped process, also when it is idle, and replace it", async () => {
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

test("Liveness: finds a frozen process within a minute by default", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  await query(scene.name, "one");
  scene.fake.processes[0]?.freeze();
  await pass(clock, 60_000);
  expect(scene.fake.processes[0]?.exit).toMatchObject({ signal: "SIGKILL" });
  await within(clock, scene.fake.started(2));
  expect(scene.session.status().lastExit?.class).toBe("stalled");
});

test("Liveness: leaves no timer after the stop", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, session: { stallTimeout: "2s" } });
  await pass(clock, 1_000);
  await within(clock, scene.supervisor.stop());
  expect(clock.timers).toBe(0);
});
