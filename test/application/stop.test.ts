import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

test("supervisor.stop(): is idempotent", async () => {
  await using scene = await Scene.open();
  const [first, second] = [scene.supervisor.stop(), scene.supervisor.stop()];
  await Promise.all([first, second]);
  await scene.supervisor.stop();
  expect(await scene.supervisor.closed).toEqual({ reason: "stopped" });
  expect(scene.fake.running).toEqual([]);
});

test("supervisor.stop(): stops processes in reverse start order", async () => {
  const ended: number[] = [];
  const names = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({ children: names.map((name) => ({ name })) });
  scene.fake.processes.forEach((process) => void process.exited.then(() => ended.push(process.pid)));
  const pids = names.map((name) => session(name).status().pid);
  await scene.supervisor.stop();
  expect(ended).toEqual(pids.toReversed());
});

test("supervisor.stop(): afterwards queries are rejected by supervisor, handle and name", async () => {
  await using scene = await Scene.open();
  const handle = scene.session;
  await scene.supervisor.stop();
  await failure(scene.supervisor.query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await thrown(() => scene.supervisor.session(scene.name), "SUPERVISOR_STOPPED");
  await failure(handle.query("hi"), "SUPERVISOR_STOPPED");
  await failure(query(scene.name, "hi"), "SESSION_NOT_FOUND");
  expect(handle.status().state).toBe("stopped");
});

test("supervisor.stop(): afterwards all calls are rejected with SUPERVISOR_STOPPED", async () => {
  await using scene = await Scene.open();
  const handle = scene.session;
  await scene.supervisor.stop();
  await failure(scene.supervisor.startSession({ name: unique() }), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.terminateSession(scene.name), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.restartSession(scene.name), "SUPERVISOR_STOPPED");
  await failure(handle.restart(), "SUPERVISOR_STOPPED");
});

test("supervisor.stop(): rejects turns of the tick before it, and their streams", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const turn = stream(scene.name, "hi");
  const queued = query(scene.name, "next");
  const stopped = scene.supervisor.stop();
  await failure(turn.result(), "SUPERVISOR_STOPPED");
  await failure(queued, "SUPERVISOR_STOPPED");
  await failure(
    (async () => {
      for await (const _ of turn);
    })(),
    "SUPERVISOR_STOPPED",
  );
  await stopped;
});

test("supervisor.stop(): rejects turns of the tick after it", async () => {
  await using scene = await Scene.open();
  const stopped = scene.supervisor.stop();
  await failure(query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.processes[0]?.prompts).toEqual([]);
});

test("supervisor.stop(): rejects a running startSession(), and leaves no process", async () => {
  await using scene = await Scene.open();
  const name = unique("late");
  const adding = scene.supervisor.startSession({ name });
  const stopped = scene.supervisor.stop();
  await failure(adding, "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.running).toEqual([]);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("supervisor.stop(): rejects a running restartSession(), and leaves no process", async () => {
  await using scene = await Scene.open();
  const restarting = scene.supervisor.restartSession(scene.name);
  const stopped = scene.supervisor.stop();
  await failure(restarting, "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.running).toEqual([]);
});

test("supervisor.stop(): does not wait for a handshake", async () => {
  const hangs = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? hangs.promise : undefined) } });
  const adding = scene.supervisor.startSession({ name: unique() });
  adding.catch(() => {});
  await scene.supervisor.stop();
  await failure(adding, "SUPERVISOR_STOPPED");
});

test("supervisor.stop(): sends SIGTERM and SIGKILL to a process that ignores the end of its input", async () => {
  await using scene = await Scene.open({
    fake: { endOfInput: "ignore", ignoreSigterm: true },
    session: { shutdown: "60ms" },
  });
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGTERM", "SIGKILL"]);
});

test("supervisor.stop(): ends an idle process by the end of its input", async () => {
  await using scene = await Scene.open();
  await scene.supervisor.query(scene.name, "hi");
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]).toMatchObject({ signals: [], exit: { code: 0 } });
});

test('shutdown: "brutal_kill" sends SIGKILL at once', async () => {
  await using scene = await Scene.open({ session: { shutdown: "brutal_kill" } });
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGKILL"]);
});
