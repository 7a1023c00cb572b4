import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeProcess, FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** Opens a session whose process has died twice, and whose third start is due in 100 ms. */
async function inBackoff(): Promise<{ scene: Scene; clock: SimulatedClock }> {
  const clock = new SimulatedClock();
  const startup = (process: FakeProcess, n: number): void => {
    if (n === 2) process.crash();
  };
  const scene = await Scene.open({ clock, script: count, fake: { startup } });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().retryAt !== undefined);
  return { scene, clock };
}

test("session.status(): has the time of the next start in `retryAt`, and the process starts then", async () => {
  const { scene, clock } = await inBackoff();
  await using _ = scene;
  expect(scene.session.status()).toMatchObject({ state: "restarting", retryAt: clock.now() + 100, restarts: 2 });
  expect(scene.session.status().pid).toBeUndefined();
  const turn = query(scene.name, "two");
  await clock.advance(99);
  expect(scene.fake.processes).toHaveLength(2);
  await clock.advance(1);
  expect((await turn).text).toBe("2");
});

test("session.restart(): does not wait for the back-off", async () => {
  const { scene } = await inBackoff();
  await using _ = scene;
  await scene.session.restart();
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("session.restart(): forgets once when it clears the conversation during the back-off", async () => {
  const { scene, clock } = await inBackoff();
  await using _ = scene;
  await scene.session.restart({ conversation: "clear" });
  expect((await query(scene.name, "two")).text).toBe("0");
  scene.fake.running[0]?.crash();
  await eventually(() => scene.session.status().state !== "idle");
  expect((await within(clock, query(scene.name, "three"))).text).toBe("2");
});

test("supervisor.stop(): does not wait for the back-off, and no process starts afterwards", async () => {
  const { scene, clock } = await inBackoff();
  await using _ = scene;
  const waiting = failure(query(scene.name, "two"), "SUPERVISOR_STOPPED");
  await scene.supervisor.stop();
  await waiting;
  await clock.advance(1_000);
  expect(scene.fake.processes).toHaveLength(2);
});

test("session.stop(): ends a session in its back-off and frees its name; the conversation stays", async () => {
  const { scene, clock } = await inBackoff();
  await using _ = scene;
  await scene.session.stop();
  const fresh = await scene.supervisor.startSession({ name: scene.name });
  await clock.advance(1_000);
  expect((await fresh.query("hi")).text).toBe("2");
  expect(scene.fake.running).toHaveLength(1);
});

test("Turns: can be interrupted and time out while there is no process", async () => {
  const { scene, clock } = await inBackoff();
  await using _ = scene;
  const turn = stream(scene.name, "two");
  const late = failure(query(scene.name, "three", { timeout: 50 }), "TURN_TIMEOUT");
  await turn.interrupt();
  await failure(turn.result(), "TURN_CANCELLED");
  await clock.advance(50);
  await late;
  expect(scene.session.status().mailbox).toBe(0);
  // No turn runs, so the interrupt has no effect.
  await scene.session.interrupt();
  expect((await within(clock, query(scene.name, "four"))).text).toBe("2");
});

test("session.interrupt() and session.status(): do not wait for a slow hook of the application", async () => {
  const gate = Promise.withResolvers<object>();
  await using scene = await Scene.open({
    session: { hooks: { PreToolUse: [{ hooks: [() => gate.promise] }] } },
    script: async (turn) => {
      if (turn.prompt === "two") return turn.text("fine");
      await turn.toolUse("Bash", {}, { result: "x" });
    },
  });
  const turn = stream(scene.name, "one");
  for await (const _ of turn.toolUses()) break;
  expect(scene.session.status().state).toBe("busy");
  await turn.interrupt();
  await failure(turn.result(), "TURN_INTERRUPTED");
  gate.resolve({});
  expect((await query(scene.name, "two")).text).toBe("fine");
});

test("query(): leaves no listener on a signal that many turns share", async () => {
  await using scene = await Scene.open({ script: (turn) => (turn.prompt === "die" ? turn.crash() : turn.text("ok")) });
  const { signal } = new AbortController();
  for (let n = 0; n < 5; n++) await query(scene.name, "hi", { signal });
  await failure(query(scene.name, "die", { signal }), "TURN_INTERRUPTED");
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("session.restart(): leaves no listener on the Node process or the session's controller", async () => {
  const abortController = new AbortController();
  await using scene = await Scene.open({ session: { abortController } });
  const events = ["exit", "SIGINT", "SIGTERM", "beforeExit", "uncaughtException"] as const;
  const listeners = () => events.map((event) => process.listenerCount(event));
  await scene.session.restart();
  const before = [listeners(), getEventListeners(abortController.signal, "abort").length];
  for (let n = 0; n < 8; n++) await scene.session.restart();
  expect([listeners(), getEventListeners(abortController.signal, "abort").length]).toEqual(before);
  await scene.session.stop();
  expect(getEventListeners(abortController.signal, "abort")).toEqual([]);
});
