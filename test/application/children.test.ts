import { expect, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { query, session } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { Service } from "./service.ts";

const remember: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("whichChildren() and countChildren(): list all children, running or not", async () => {
  const name = ["user", unique(), 7] as const;
  const [up, down] = [new Service("up"), new Service("down")];
  await using scene = await Scene.open({
    children: [{ name }, up.child(), { name: "below", children: [{ name: unique() }] }, down.child()],
  });
  await scene.supervisor.terminateChild("down");
  expect(scene.supervisor.whichChildren()).toEqual([
    { id: name, type: "session", state: "running" },
    { id: "up", type: "worker", state: "running" },
    { id: "below", type: "supervisor", state: "running" },
    { id: "down", type: "worker", state: "terminated" },
  ]);
  expect(scene.supervisor.countChildren()).toEqual({ specs: 4, active: 3, supervisors: 1, workers: 3 });
});

test("startChild(): adds a session, a worker or a supervisor at the end of the start order", async () => {
  const log: string[] = [];
  const [first, late, deep] = [new Service("first", log), new Service("late", log), new Service("deep", log)];
  const [name, below] = [unique("added"), unique("below")];
  await using scene = await Scene.open({
    children: [first.child()],
    options: { defaults: { model: "claude-default" } },
  });
  await scene.supervisor.startChild({ name });
  await scene.supervisor.startChild({ name: "inner", children: [deep.child(), { name: below }] });
  await scene.supervisor.startChild(late.child());
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual(["first", name, "inner", "late"]);
  for (const one of [name, below]) expect((await query(one, "hi")).text).toBe("You said: hi");
  expect(scene.fake.processes.map(({ model }) => model)).toEqual(["claude-default", "claude-default"]);
  await scene.supervisor.stop();
  expect(log.slice(3)).toEqual(["late stopped", "deep stopped", "first stopped"]);
});

test("startChild(): rejects a child that exists, each case with its own code, and changes nothing", async () => {
  const [running, resting, inner] = [new Service("running"), new Service("resting"), new Service("inner")];
  const [name, below] = [unique(), unique("below")];
  await using scene = await Scene.open({
    children: [{ name }, running.child(), resting.child(), { name: "below", children: [{ name: below }] }],
  });
  const { supervisor } = scene;
  await supervisor.terminateChild("resting");
  await failure(supervisor.startChild({ name }), "SESSION_ALREADY_STARTED");
  await failure(supervisor.startChild({ name: below }), "SESSION_ALREADY_STARTED");
  await failure(supervisor.startChild(running.child()), "CHILD_ALREADY_STARTED");
  await failure(supervisor.startChild(resting.child()), "CHILD_ALREADY_PRESENT");
  const fresh = unique("fresh");
  await failure(
    supervisor.startChild({ name: "below", children: [{ name: fresh }, inner.child()] }),
    "CHILD_ALREADY_STARTED",
  );
  await thrown(() => session(fresh), "SESSION_NOT_FOUND");
  expect(inner.starts).toBe(0);

  expect(supervisor.whichChildren().map(({ id, state }) => [id, state])).toEqual([
    [name, "running"],
    ["running", "running"],
    ["resting", "terminated"],
    ["below", "running"],
  ]);
  await supervisor.restartChild("resting");
  await supervisor.restartSession(below);
  expect((await query(below, "hi")).text).toBe("You said: hi");
});

test("startChild(): keeps nothing of a child that fails to start", async () => {
  const service = new Service("db");
  const [inside, name] = [unique("inside"), unique()];
  await using scene = await Scene.open({ children: [{ name }], options: { maxChildren: 2 } });
  service.failures.push(new Error("no route"));
  const error = await failure(scene.supervisor.startChild(service.child()), "CHILD_START_FAILED");
  expect(error.message).toContain("db");
  expect(scene.supervisor.whichChildren()).toHaveLength(1);
  await scene.supervisor.startChild(service.child());
  await failure(scene.supervisor.startChild({ name: inside }), "MAX_CHILDREN");
  await failure(scene.supervisor.startSession({ name: inside }), "MAX_CHILDREN");
  await thrown(() => session(inside), "SESSION_NOT_FOUND");
  await scene.supervisor.terminateChild("db");
  await failure(scene.supervisor.startSession({ name: inside }), "MAX_CHILDREN");
  await scene.supervisor.deleteChild("db");
  await scene.supervisor.startSession({ name: inside });
});

test("startChild(): rejects wrong options with their path", async () => {
  await using scene = await Scene.open({ children: [] });
  const fields = async (child: unknown): Promise<string[]> =>
    (await failure(scene.supervisor.startChild(child as ChildOptions), "INVALID_OPTIONS")).details.problems.map(
      ({ field }) => field,
    );
  expect(await fields({ id: "db", start: 7 })).toEqual(["start"]);
  expect(await fields(new Service("db").child({ restart: "transient", significant: true }))).toEqual(["significant"]);
  expect(await fields({ name: "inner", children: [{ name: unique(), maxTurns: 0 }] })).toEqual([
    "children[0].maxTurns",
  ]);
  expect(await fields({ name: "inner", maxRestarts: -1, children: [] })).toEqual(["maxRestarts"]);
  expect(await fields({})).toEqual(["name"]);
  expect(scene.supervisor.whichChildren()).toEqual([]);
});

test("terminateChild(): stops a session, which rejects turns until restartChild() continues its conversation", async () => {
  await using scene = await Scene.open({ script: remember });
  await query(scene.name, "one");
  const { conversationId } = scene.session.status();
  await scene.supervisor.terminateChild(scene.name);
  expect(scene.fake.running).toEqual([]);
  expect(scene.session.status().state).toBe("stopped");
  await failure(query(scene.name, "two"), "SESSION_STOPPED");
  // The name stays reserved.
  await failure(scene.supervisor.startSession({ name: scene.name }), "SESSION_ALREADY_STARTED");
  await scene.supervisor.restartChild(scene.name);
  expect(scene.session.status()).toMatchObject({ state: "idle", conversationId, restarts: 0 });
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("terminateChild(): ends a session's turns, and is idempotent", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const [running, waiting] = [query(scene.name, "one"), query(scene.name, "two")];
  await scene.fake.prompted(1);
  const ended = [scene.supervisor.terminateChild(scene.name), scene.supervisor.terminateChild(scene.session)];
  expect((await failure(running, "TURN_INTERRUPTED")).cause).toMatchObject({ code: "SESSION_STOPPED" });
  await failure(waiting, "SESSION_STOPPED");
  await Promise.all(ended);
  await scene.supervisor.terminateChild(scene.name);
  expect(scene.supervisor.whichChildren()[0]?.state).toBe("terminated");
});

test("restartSession(): restarts a session that terminateChild() stopped", async () => {
  await using scene = await Scene.open({ script: remember });
  await query(scene.name, "one");
  await scene.supervisor.terminateChild(scene.name);
  await scene.supervisor.restartSession(scene.name);
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("terminateChild(): of a supervisor stops its sessions, and restartChild() restores them", async () => {
  const [one, two] = [unique("one"), unique("two")];
  await using scene = await Scene.open({
    script: remember,
    children: [{ name: "inner", children: [{ name: one }, { name: "deeper", children: [{ name: two }] }] }],
  });
  for (const name of [one, two]) await query(name, "one");
  await scene.supervisor.terminateChild("inner");
  for (const name of [one, two]) await failure(query(name, "two"), "SESSION_STOPPED");
  expect(scene.fake.running).toEqual([]);
  await scene.supervisor.restartChild("inner");
  for (const name of [one, two]) expect((await query(name, "two")).text).toBe("2");
});

test("terminateChild(): removes a temporary session or worker", async () => {
  const [name, service] = [unique(), new Service("once")];
  await using scene = await Scene.open({
    children: [{ name, restart: "temporary" }, service.child({ restart: "temporary" })],
  });
  await scene.supervisor.terminateChild(name);
  await scene.supervisor.terminateChild("once");
  await eventually(() => scene.supervisor.whichChildren().length === 0);
  await failure(scene.supervisor.restartChild(name), "CHILD_NOT_FOUND");
  await failure(scene.supervisor.restartChild("once"), "CHILD_NOT_FOUND");
  await scene.supervisor.startSession({ name });
});

test("restartChild(): rejects running and restarting children", async () => {
  const clock = new SimulatedClock();
  const [service, name] = [new Service("db"), unique()];
  await using scene = await Scene.open({ clock, children: [service.child(), { name }] });
  await failure(scene.supervisor.restartChild("db"), "CHILD_RUNNING");
  await failure(scene.supervisor.restartChild(name), "CHILD_RUNNING");
  await failure(scene.supervisor.restartChild("nobody"), "CHILD_NOT_FOUND");
  service.failures.push(new Error("down"));
  service.crash();
  await eventually(() => scene.supervisor.whichChildren()[0]?.state === "restarting" && service.starts === 2);
  await failure(scene.supervisor.restartChild("db"), "CHILD_RESTARTING");
  await failure(scene.supervisor.deleteChild("db"), "CHILD_RESTARTING");
  await clock.advance(100);
  expect(scene.supervisor.whichChildren()[0]?.state).toBe("running");
});

test("restartChild(): rejects when the child fails to start", async () => {
  const service = new Service("db");
  let broken = false;
  await using scene = await Scene.open({
    children: [{ name: unique() }, service.child()],
    fake: { startup: (process) => (broken ? process.crash({ stderr: "out of order" }) : undefined) },
  });
  const name = scene.supervisor.listSessions()[0]?.name ?? "";
  await scene.supervisor.terminateChild("db");
  service.failures.push(new Error("no route"));
  await failure(scene.supervisor.restartChild("db"), "CHILD_START_FAILED");
  expect(scene.supervisor.whichChildren()[1]?.state).toBe("terminated");
  await scene.supervisor.restartChild("db");

  await scene.supervisor.terminateChild(name);
  broken = true;
  const error = await failure(scene.supervisor.restartChild(name), "SESSION_QUARANTINED");
  expect(error.message).toContain("out of order");
});

test("deleteChild(): rejects a running child, and frees the names of a stopped one", async () => {
  const [service, name, below] = [new Service("db"), unique(), unique("below")];
  await using scene = await Scene.open({
    children: [service.child(), { name }, { name: "inner", children: [{ name: below }] }],
  });
  const ids = ["db", name, "inner"];
  for (const id of ids) await failure(scene.supervisor.deleteChild(id), "CHILD_RUNNING");
  await failure(scene.supervisor.deleteChild("nobody"), "CHILD_NOT_FOUND");
  for (const id of ids) {
    await scene.supervisor.terminateChild(id);
    await scene.supervisor.deleteChild(id);
    await failure(scene.supervisor.restartChild(id), "CHILD_NOT_FOUND");
  }
  expect(scene.supervisor.whichChildren()).toEqual([]);
  expect(scene.supervisor.countSessions()).toBe(0);
  for (const one of [name, below]) {
    await thrown(() => session(one), "SESSION_NOT_FOUND");
    await scene.supervisor.startSession({ name: one });
  }
});

test("terminateChild() and deleteChild(): reject a child of a nested supervisor", async () => {
  const below = unique("below");
  await using scene = await Scene.open({ children: [{ name: "inner", children: [{ name: below }] }] });
  await failure(scene.supervisor.terminateChild(below), "CHILD_NOT_FOUND");
  await failure(scene.supervisor.deleteChild(below), "CHILD_NOT_FOUND");
});

test("Supervisor: rejects all calls on children after stop() with SUPERVISOR_STOPPED", async () => {
  const service = new Service("db");
  await using scene = await Scene.open({ children: [service.child()] });
  await scene.supervisor.stop();
  const { supervisor } = scene;
  await failure(supervisor.startChild(new Service("late").child()), "SUPERVISOR_STOPPED");
  await failure(supervisor.terminateChild("db"), "SUPERVISOR_STOPPED");
  await failure(supervisor.restartChild("db"), "SUPERVISOR_STOPPED");
  await failure(supervisor.deleteChild("db"), "SUPERVISOR_STOPPED");
  await failure(supervisor.reconcile([]), "SUPERVISOR_STOPPED");
  expect(supervisor.inspect().state).toBe("terminated");
});
