import { expect, test } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

test("stopping twice, at once or later, is one end", async () => {
  await using scene = await Scene.open();
  const [first, second] = [scene.supervisor.stop(), scene.supervisor.stop()];
  await Promise.all([first, second]);
  await scene.supervisor.stop();
  expect(await scene.supervisor.closed).toEqual({ reason: "stopped" });
  expect(scene.fake.running).toEqual([]);
});

test("ends processes in the reverse order of their start", async () => {
  const ended: number[] = [];
  const names = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({ children: names.map((name) => ({ name })) });
  scene.fake.processes.forEach((process) => void process.exited.then(() => ended.push(process.pid)));
  const pids = names.map((name) => session(name).status().pid);
  await scene.supervisor.stop();
  expect(ended).toEqual(pids.toReversed());
});

test("a query after the stop is refused, by supervisor, handle and name alike", async () => {
  await using scene = await Scene.open();
  const handle = scene.session;
  await scene.supervisor.stop();
  await failure(scene.supervisor.query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await thrown(() => scene.supervisor.session(scene.name), "SUPERVISOR_STOPPED");
  await failure(handle.query("hi"), "SUPERVISOR_STOPPED");
  await failure(query(scene.name, "hi"), "SESSION_NOT_FOUND");
  expect(handle.status().state).toBe("stopped");
});

test("every call after the stop is refused with a typed error", async () => {
  await using scene = await Scene.open();
  const handle = scene.session;
  await scene.supervisor.stop();
  await failure(scene.supervisor.startSession({ name: unique() }), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.terminateSession(scene.name), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.restartSession(scene.name), "SUPERVISOR_STOPPED");
  await failure(handle.restart(), "SUPERVISOR_STOPPED");
});

test("a query in the tick before the stop ends with a typed error, and its stream does too", async () => {
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

test("a query in the tick after the stop is refused", async () => {
  await using scene = await Scene.open();
  const stopped = scene.supervisor.stop();
  await failure(query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await failure(scene.supervisor.query(scene.name, "hi"), "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.processes[0]?.prompts).toEqual([]);
});

test("a session that is being added when the supervisor stops does not stay", async () => {
  await using scene = await Scene.open();
  const name = unique("late");
  const adding = scene.supervisor.startSession({ name });
  const stopped = scene.supervisor.stop();
  await failure(adding, "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.running).toEqual([]);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("a session that is being restarted when the supervisor stops does not come back", async () => {
  await using scene = await Scene.open();
  const restarting = scene.supervisor.restartSession(scene.name);
  const stopped = scene.supervisor.stop();
  await failure(restarting, "SUPERVISOR_STOPPED");
  await stopped;
  expect(scene.fake.running).toEqual([]);
});

test("a stop in the middle of a handshake does not wait for it", async () => {
  const hangs = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? hangs.promise : undefined) } });
  const adding = scene.supervisor.startSession({ name: unique() });
  adding.catch(() => {});
  await scene.supervisor.stop();
  await failure(adding, "SUPERVISOR_STOPPED");
});

test("a process that ignores the end of its input and SIGTERM is killed", async () => {
  await using scene = await Scene.open({
    fake: { endOfInput: "ignore", ignoreSigterm: true },
    session: { shutdown: "60ms" },
  });
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGTERM", "SIGKILL"]);
});

test("an idle process ends with its input, without a signal", async () => {
  await using scene = await Scene.open();
  await scene.supervisor.query(scene.name, "hi");
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]).toMatchObject({ signals: [], exit: { code: 0 } });
});

test("`brutal_kill` skips the courtesies", async () => {
  await using scene = await Scene.open({ session: { shutdown: "brutal_kill" } });
  await scene.supervisor.stop();
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGKILL"]);
});
