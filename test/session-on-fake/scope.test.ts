import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

test("signal: an abort ends the session, its turn and its process, and frees its name", async () => {
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

test("signal: an aborted signal rejects startSession() with INVALID_OPTIONS", async () => {
  await using scene = await Scene.open();
  const starting = scene.supervisor.startSession({ name: unique(), signal: AbortSignal.abort() });
  const error = await failure(starting, "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["signal"]);
  expect(scene.fake.processes).toHaveLength(1);
});

test("signal: an abort during the start rejects it with SESSION_STOPPED", async () => {
  const scope = new AbortController();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? new Promise(() => {}) : undefined) } });
  const starting = failure(scene.supervisor.startSession({ name: unique(), signal: scope.signal }), "SESSION_STOPPED");
  await eventually(() => scene.fake.processes.length === 2);
  scope.abort();
  await starting;
  expect(scene.supervisor.countSessions()).toBe(1);
});

test("signal: keeps no listener of an ended session", async () => {
  const { signal } = new AbortController();
  await using scene = await Scene.open();
  const session = await scene.supervisor.startSession({ name: unique(), signal });
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  await session.restart();
  await session.stop();
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("Session: `await using` stops it at the end of the block", async () => {
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

test("Session: `await using` of a stopped session does nothing", async () => {
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
