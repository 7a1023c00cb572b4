import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

test("a session whose signal is aborted ends with it: its turn, its process, its name", async () => {
  const scope = new AbortController();
  const name = unique();
  await using scene = await Scene.open({ children: [{ name, signal: scope.signal }], script: (turn) => turn.hang() });
  const { session } = scene;
  const cut = failure(query(name, "hi"), "TURN_INTERRUPTED");
  await scene.fake.prompted(1);
  scope.abort();
  await cut;
  await failure(session.query("again"), "SESSION_STOPPED");
  await eventually(() => scene.fake.running.length === 0 && scene.supervisor.countSessions() === 0);
  await scene.supervisor.startSession({ name });
});

test("a signal that has been aborted starts nothing", async () => {
  await using scene = await Scene.open();
  const starting = scene.supervisor.startSession({ name: unique(), signal: AbortSignal.abort() });
  const error = await failure(starting, "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["signal"]);
  expect(scene.fake.processes).toHaveLength(1);
});

test("a signal that is aborted while the process comes up ends the start", async () => {
  const scope = new AbortController();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? new Promise(() => {}) : undefined) } });
  const starting = failure(scene.supervisor.startSession({ name: unique(), signal: scope.signal }), "SESSION_STOPPED");
  await eventually(() => scene.fake.processes.length === 2);
  scope.abort();
  await starting;
  expect(scene.supervisor.countSessions()).toBe(1);
});

test("a signal that outlives the session keeps nothing of it", async () => {
  const { signal } = new AbortController();
  await using scene = await Scene.open();
  const session = await scene.supervisor.startSession({ name: unique(), signal });
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  await session.restart();
  await session.stop();
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("a session ends with the block that holds it", async () => {
  await using scene = await Scene.open();
  const name = unique();
  {
    await using session = await scene.supervisor.startSession({ name });
    expect((await session.query("hi")).text).toBe("You said: hi");
    expect(scene.fake.running).toHaveLength(2);
  }
  expect(scene.fake.running).toHaveLength(1);
  await failure(query(name, "hi"), "SESSION_NOT_FOUND");
});

test("a block that holds one that has ended already ends well", async () => {
  await using scene = await Scene.open();
  {
    await using stopped = await scene.supervisor.startSession({ name: unique() });
    await stopped.stop();
    await using temporary = await scene.supervisor.startSession({ name: unique(), restart: "temporary" });
    scene.fake.running.at(-1)?.crash();
    await eventually(() => temporary.status().state === "stopped");
  }
  {
    await using _ = await scene.supervisor.startSession({ name: unique() });
    await scene.supervisor.stop();
  }
});
