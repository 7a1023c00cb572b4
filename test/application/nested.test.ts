import { expect, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import type { Child } from "../../src/supervision/child-spec.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { Service } from "./service.ts";

const remember: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** Options of a supervisor that escalates the first crash. */
const fragile = { onMaxRestarts: "escalate", maxRestarts: 0 } as const;

function crash(scene: Scene, name: string, code = 1): void {
  const { pid } = session(name).status();
  scene.fake.processes.find((process) => process.pid === pid)?.crash({ code });
}

test("Nested supervisor: its sessions are found by name from anywhere", async () => {
  const [top, middle, bottom] = [unique("top"), unique("middle"), unique("bottom")];
  await using scene = await Scene.open({
    children: [
      { name: top },
      { name: "outer", children: [{ name: middle }, { name: "inner", children: [{ name: bottom }] }] },
    ],
  });
  expect(scene.supervisor.listSessions().map(({ name }) => name)).toEqual([top, middle, bottom]);
  expect(scene.supervisor.countSessions()).toBe(3);
  for (const name of [top, middle, bottom]) {
    expect((await query(name, "one")).text).toBe("You said: one");
    expect((await scene.supervisor.query(name, "two")).text).toBe("You said: two");
  }
  expect(scene.supervisor.whichChildren()).toEqual([
    { id: top, type: "session", state: "running" },
    { id: "outer", type: "supervisor", state: "running" },
  ]);
  expect(scene.supervisor.countChildren()).toEqual({ specs: 2, active: 2, supervisors: 1, workers: 1 });
  await scene.supervisor.stop();
  for (const name of [top, middle, bottom]) await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("Nested supervisor: starts its children in order, depth first, and stops them in reverse", async () => {
  const log: string[] = [];
  const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => new Service(id, log).child());
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four");
  const children = [a, { name: "below", children: [b, { name: "deeper", children: [c] }] }, d];
  await using scene = await Scene.open({ children });
  expect(log).toEqual(["a started", "b started", "c started", "d started"]);
  log.length = 0;
  await scene.supervisor.stop();
  expect(log).toEqual(["d stopped", "c stopped", "b stopped", "a stopped"]);
});

test("Nested supervisor: its defaults override the outer ones, and undefined values do not", async () => {
  const [above, below] = [unique("above"), unique("below")];
  const defaults: object = { model: "claude-inner", permissionMode: undefined, allowedTools: ["Read"] };
  await using scene = await Scene.open({
    children: [{ name: "inner", defaults, children: [{ name: below, allowedTools: ["Grep"] }] }, { name: above }],
    options: { defaults: { model: "claude-outer", permissionMode: "plan" } },
  });
  const of = (name: string) => scene.fake.processes.find(({ pid }) => pid === session(name).status().pid);
  expect([of(below)?.model, of(below)?.permissionMode]).toEqual(["claude-inner", "plan"]);
  expect(of(below)?.args.join(" ")).toContain("Grep");
  expect(of(below)?.args.join(" ")).not.toContain("Read");
  expect([of(above)?.model, of(above)?.permissionMode]).toEqual(["claude-outer", "plan"]);
});

test("Nested supervisor: a crash restarts its own children only, by its strategy", async () => {
  const [above, one, two] = [unique("above"), unique("one"), unique("two")];
  await using scene = await Scene.open({
    script: remember,
    children: [{ name: above }, { name: "inner", strategy: "one_for_all", children: [{ name: one }, { name: two }] }],
  });
  for (const name of [above, one, two]) await query(name, "one");
  crash(scene, two);
  await eventually(() => session(one).status().starts === 2 && session(two).status().starts === 2);
  for (const name of [above, one, two]) expect((await query(name, "two")).text).toBe("2");
  expect(session(above).status().starts).toBe(1);
});

test("Nested supervisor: is restarted after it escalates, and its sessions keep their conversations", async () => {
  const [above, one, two] = [unique("above"), unique("one"), unique("two")];
  await using scene = await Scene.open({
    script: remember,
    children: [{ name: above }, { name: "inner", ...fragile, children: [{ name: one }, { name: two }] }],
  });
  for (const name of [above, one, two]) await query(name, "one");
  const handle = session(two);
  crash(scene, one);
  await eventually(() => session(one).status().starts === 2 && session(two).status().starts === 2);
  for (const name of [above, one, two]) expect((await query(name, "two")).text).toBe("2");
  expect((await handle.query("three")).text).toBe("4");
  expect(session(above).status().starts).toBe(1);
  expect(scene.fake.running).toHaveLength(3);
});

test("Nested supervisor: queued turns survive its escalation", async () => {
  const [dying, waiting] = [unique("dying"), unique("waiting")];
  await using scene = await Scene.open({
    children: [{ name: "inner", ...fragile, children: [{ name: dying }, { name: waiting }] }],
    script: async (turn) => {
      if (turn.process === scene.fake.processes[1]) await turn.hang();
      await turn.text(`did ${turn.prompt}`);
    },
  });
  const replies = ["one", "two"].map((prompt) => query(waiting, prompt));
  await scene.fake.prompted(1);
  crash(scene, dying);
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["did one", "did two"]);
});

test("Nested supervisor: three levels escalate to the root, and `closed` has the first crash as the cause", async () => {
  const [deep, other] = [unique("deep"), unique("other")];
  const service = new Service("service");
  await using scene = await Scene.open({
    options: fragile,
    children: [
      { name: other },
      service.child(),
      { name: "outer", ...fragile, children: [{ name: "inner", ...fragile, children: [{ name: deep }] }] },
    ],
    script: (turn) => turn.hang(),
  });
  const refused = failure(query(other, "work"), "SUPERVISOR_STOPPED");
  await scene.fake.prompted(1);
  crash(scene, deep, 42);
  const { reason, cause } = await scene.supervisor.closed;
  expect(reason).toBe("max_restarts");
  const causes: unknown[] = [];
  for (let at = cause; at !== undefined; at = at instanceof Error ? at.cause : undefined) causes.push(at);
  expect(causes.at(-1)).toMatchObject({ class: "crash", code: 42 });
  await refused;
  expect(service.log).toEqual(["service started", "service stopped"]);
  await thrown(() => session(deep), "SESSION_NOT_FOUND");
});

test("Nested supervisor: quarantines its sessions with itself, with the reason, and restartChild() restores them", async () => {
  const [above, one, two] = [unique("above"), unique("one"), unique("two")];
  await using scene = await Scene.open({
    script: remember,
    options: { maxRestarts: 0 },
    children: [{ name: above }, { name: "inner", ...fragile, children: [{ name: one }, { name: two }] }],
  });
  for (const name of [one, two]) await query(name, "one");
  const since = Date.now();
  crash(scene, one, 9);
  await eventually(() => session(two).status().state === "quarantined");
  for (const name of [one, two]) {
    const error = await failure(query(name, "hi"), "SESSION_QUARANTINED");
    expect(error.message).toContain("once too often");
    expect(error.details.lastExits.at(-1)?.at).toBeGreaterThanOrEqual(since);
  }
  expect(scene.log.at(-1)).toContain('child "inner" is quarantined');
  expect(scene.fake.running).toHaveLength(1);
  expect((await query(above, "hi")).text).toBe("0");

  await scene.supervisor.restartChild("inner");
  for (const name of [one, two]) expect((await query(name, "two")).text).toBe("2");
});

test("restartSession(): restores a quarantined supervisor at any level", async () => {
  const [deep, sibling] = [unique("deep"), unique("sibling")];
  await using scene = await Scene.open({
    script: remember,
    children: [
      {
        name: "outer",
        maxRestarts: 0,
        children: [{ name: "inner", ...fragile, children: [{ name: deep }, { name: sibling }] }],
      },
    ],
  });
  await query(deep, "one");
  crash(scene, deep);
  await eventually(() => session(deep).status().state === "quarantined");
  await scene.supervisor.restartSession(deep);
  expect((await query(deep, "two")).text).toBe("2");
  expect((await query(sibling, "one")).text).toBe("0");
});

test("Nested supervisor: its sessions report `starting` while it waits for its restart", async () => {
  const clock = new SimulatedClock();
  const [one, two] = [unique("one"), unique("two")];
  await using scene = await Scene.open({
    clock,
    script: remember,
    children: [{ name: "inner", ...fragile, children: [{ name: one }, { name: two }] }],
  });
  crash(scene, one);
  await eventually(() => scene.fake.processes.length === 4 && session(two).status().state === "idle");
  await eventually(() => session(one).status().state === "idle");
  crash(scene, one);
  await eventually(() => session(two).status().pid === undefined);
  expect(session(two).status().state).toBe("starting");
  const reply = query(two, "hi");
  expect((await within(clock, reply)).text).toBe("0");
});

test("Nested supervisor: frees the names of its sessions when it is temporary and ends", async () => {
  const [inside, outside] = [unique("inside"), unique("outside")];
  await using scene = await Scene.open({
    children: [{ name: "inner", restart: "temporary", ...fragile, children: [{ name: inside }] }, { name: outside }],
  });
  const handle = session(inside);
  const cut = failure(handle.query("hi"), "SESSION_STOPPED");
  crash(scene, inside);
  await eventually(() => scene.supervisor.countSessions() === 1);
  await cut;
  await thrown(() => session(inside), "SESSION_NOT_FOUND");
  await failure(handle.query("hi"), "SESSION_STOPPED");
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual([outside]);
  await scene.supervisor.startSession({ name: inside });
});

test("Nested supervisor: its sessions reject turns after its automatic shutdown, until restartChild()", async () => {
  const [main, side] = [unique("main"), unique("side")];
  await using scene = await Scene.open({
    script: remember,
    children: [
      {
        name: "inner",
        restart: "transient",
        autoShutdown: "any_significant",
        children: [{ name: side }, { name: main, restart: "temporary", significant: true }],
      },
    ],
  });
  await query(side, "one");
  crash(scene, main);
  await eventually(() => scene.supervisor.whichChildren()[0]?.state === "terminated");
  await failure(query(side, "two"), "SESSION_STOPPED");
  expect(session(side).status().state).toBe("stopped");
  await scene.supervisor.restartChild("inner");
  expect((await query(side, "two")).text).toBe("2");
});

test("Nested supervisor: ends the outer one when it is significant", async () => {
  const service = new Service("inside");
  await using scene = await Scene.open({
    options: { autoShutdown: "any_significant" },
    children: [
      { name: unique() },
      { name: "inner", restart: "temporary", significant: true, ...fragile, children: [service.child()] },
    ],
  });
  service.crash();
  expect((await scene.supervisor.closed).reason).toBe("auto_shutdown");
});

test("Nested supervisor: its sessions can be restarted, terminated and stopped", async () => {
  const [one, two] = [unique("one"), unique("two")];
  await using scene = await Scene.open({
    script: remember,
    children: [{ name: "inner", children: [{ name: one }, { name: two }] }],
  });
  await query(one, "one");
  await scene.supervisor.restartSession(one);
  expect((await query(one, "two")).text).toBe("2");
  await scene.supervisor.terminateSession(one);
  await thrown(() => session(one), "SESSION_NOT_FOUND");
  expect(scene.fake.running).toHaveLength(1);
  await session(two).stop();
  expect(scene.supervisor.countSessions()).toBe(0);
  expect(scene.fake.running).toEqual([]);
});

test("terminateSession(): leaves no process when the nested supervisor is still starting", async () => {
  const open = Promise.withResolvers<void>();
  const [early, late] = [unique("early"), unique("late")];
  await using scene = await Scene.open();
  const start = async (): Promise<Child> => {
    await open.promise;
    return { exited: new Promise(() => {}), stop: async () => {} };
  };
  const adding = scene.supervisor.startChild({
    name: "inner",
    children: [{ name: early }, { id: "slow", start }, { name: late }],
  });
  await scene.fake.started(2);
  const ended = scene.supervisor.terminateSession(early);
  open.resolve();
  await Promise.all([ended, adding]);
  await eventually(() => session(late).status().state === "idle");
  expect(scene.fake.running).toHaveLength(2);
  await thrown(() => session(early), "SESSION_NOT_FOUND");
});

test("Supervisor.start(): rejects duplicate names at any level, with both places", async () => {
  const [name, other] = [unique("twice"), unique("other")];
  const children = [
    { name: other },
    { name: "a", children: [{ name }] },
    { name: "b", children: [{ name: "c", children: [{ name }] }] },
    { name: "a", children: [] },
    { name: other },
  ];
  const error = await failure(Supervisor.start(children), "INVALID_OPTIONS");
  expect(error.details.problems).toEqual([
    {
      field: "children[2].children[0].children[0].name",
      message: `"${name}" is also the name of children[1].children[0]`,
    },
    { field: "children[3].name", message: '"a" is also the name of children[1]' },
    { field: "children[4].name", message: `"${other}" is also the name of children[0]` },
  ]);
});

test("Supervisor.start(): accepts equal names of workers and supervisors under different supervisors", async () => {
  const [one, two] = [new Service("db"), new Service("db")];
  await using scene = await Scene.open({
    children: [
      { name: "a", children: [one.child(), { name: "b", children: [] }] },
      { name: "b", children: [two.child()] },
    ],
  });
  two.crash();
  await eventually(() => two.starts === 2);
  expect(one.starts).toBe(1);
  expect(scene.supervisor.countChildren().active).toBe(2);
});

test("Supervisor.start(): reports all wrong options of nested children with their path, and starts nothing", async () => {
  const service = new Service("db");
  const children: unknown[] = [
    service.child(),
    { name: "a", strategy: "all", children: [] },
    { name: "b", defaults: { maxTurns: 0 }, children: [] },
    { name: "c", children: [{ name: unique(), maxTurns: -1 }, { name: "d", children: "none" }, 7] },
    { name: "e", children: [], logger: console },
  ];
  const error = await failure(Supervisor.start(children as ChildOptions[]), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual([
    "children[1].strategy",
    "children[2].defaults.maxTurns",
    "children[3].children[0].maxTurns",
    "children[3].children[1].children",
    "children[3].children[2]",
    "children[4].logger",
  ]);
  expect(service.starts).toBe(0);
});
