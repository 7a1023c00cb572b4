import { expect, test } from "vitest";
import type { ChildOptions, WorkerOptions } from "../../src/application/options/child-options.ts";
import type { SupervisorOptions } from "../../src/application/options/supervisor-options.ts";
import { session } from "../../src/castellan.ts";
import { formatInspection } from "../../src/index.ts";
import type { FakeClaudeOptions } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { Service } from "./service.ts";

/** A worker that always fails to start. */
function dead(id: string, keeping: Omit<WorkerOptions, "id" | "start"> = {}): WorkerOptions {
  return { id, start: () => Promise.reject(new Error("connection refused")), ...keeping };
}

/** Sessions with `BROKEN` in their environment fail to start. */
const fake: FakeClaudeOptions = {
  startup: (process) => {
    if (process.env["BROKEN"] === "1") process.crash({ code: 7, stderr: "no good" });
  },
};

async function open(children: readonly ChildOptions[], options: SupervisorOptions = {}): Promise<Scene> {
  return await Scene.open({ children, options, fake });
}

const messages = ({ supervisor }: Scene): readonly (readonly [unknown, string])[] =>
  supervisor.notStarted.map(({ name, error }) => [name, error.message]);

test("Supervisor.start(): names a worker that fails to start in notStarted, health, readyz, livez and inspect", async () => {
  const name = unique();
  await using scene = await open([dead("db"), { name }]);
  const { supervisor } = scene;
  const reason = expect.stringContaining(
    'worker "db" is quarantined after 4 failed starts or crashes, the last: connection refused',
  );
  expect(supervisor.notStarted).toMatchObject([
    { name: "db", error: { code: "CHILD_START_FAILED", message: reason, cause: { message: "connection refused" } } },
  ]);
  expect(await supervisor.health()).toMatchObject({
    status: "degraded",
    sessions: 1,
    details: [{ name: "db", status: "unhealthy", reason }],
  });
  expect(supervisor.readyz().ok).toBe(false);
  expect(supervisor.readyz().checks).toContainEqual({ name: "children", ok: false, reason });
  // A restart of the application would stop its other children.
  expect(supervisor.livez().ok).toBe(true);
  expect(supervisor.livez().checks).toContainEqual({ name: "children", ok: true, reason });
  const [db] = supervisor.inspect().children;
  expect(db).toMatchObject({ name: "db", state: "quarantined", restarts: 3 });
  expect(JSON.parse(JSON.stringify(db)).lastExits.at(-1)).toMatchObject({ message: "connection refused" });
  expect(formatInspection(supervisor.inspect())).toContain("connection refused");
});

test("supervisor.health(): is healthy again after a failed worker was restarted", async () => {
  const [service, name] = [new Service("db"), unique()];
  service.failures.push(...Array.from({ length: 4 }, () => new Error("connection refused")));
  await using scene = await open([service.child(), { name }]);
  const { supervisor } = scene;
  expect(supervisor.readyz().ok).toBe(false);
  await supervisor.restartChild("db");
  expect(supervisor.readyz().ok).toBe(true);
  expect(supervisor.livez().checks).toContainEqual({ name: "children", ok: true });
  expect((await supervisor.health()).status).toBe("healthy");
});

test("supervisor.health(): reports a crashed worker while it restarts, and when it is quarantined", async () => {
  const clock = new SimulatedClock();
  const [service, name] = [new Service("db"), unique()];
  await using scene = await within(
    clock,
    Scene.open({ children: [service.child(), { name }], clock, options: { maxRestarts: 2 } }),
  );
  const { supervisor } = scene;
  service.failures.push(new Error("no route"), new Error("no route"));
  service.crash();
  await eventually(() => service.starts === 2);
  expect(supervisor.readyz().checks).toContainEqual({
    name: "children",
    ok: false,
    reason: 'worker "db" is being restarted; the last exit: no route',
  });
  expect(await supervisor.health()).toMatchObject({
    status: "degraded",
    details: [{ name: "db", status: "degraded" }],
  });
  await clock.advance(200);
  await eventually(() => service.starts === 3);
  expect(await supervisor.health()).toMatchObject({ details: [{ name: "db", status: "unhealthy" }] });
});

test("notStarted: names a temporary worker after one failed start", async () => {
  const name = unique();
  await using scene = await open([dead("once", { restart: "temporary" }), { name }]);
  expect(messages(scene)).toEqual([["once", expect.stringContaining("connection refused")]]);
  expect((await scene.supervisor.health()).status).toBe("healthy");
});

test("notStarted: names nested children with the path of their supervisors", async () => {
  const [good, bad] = [unique("good"), unique("bad")];
  const inner = { name: "inner", children: [dead("db"), { name: bad, env: { BROKEN: "1" } }] };
  await using scene = await open([{ name: "outer", children: [inner] }, { name: good }]);
  expect(messages(scene)).toEqual([
    [bad, expect.stringContaining("no good")],
    ["db", expect.stringContaining('worker "db" of supervisor "outer" / "inner" is quarantined')],
  ]);
  expect(scene.supervisor.readyz().ok).toBe(false);
});

test("notStarted: names a quarantined nested supervisor with the cause", async () => {
  const name = unique();
  await using scene = await open([
    { name: "below", onMaxRestarts: "escalate", maxRestarts: 0, children: [dead("db")] },
    { name },
  ]);
  expect(messages(scene)).toEqual([["below", expect.stringContaining("connection refused")]]);
  expect(scene.supervisor.notStarted[0]?.error.message).toContain('supervisor "below" is quarantined');
  expect(await scene.supervisor.health()).toMatchObject({ status: "degraded", details: [{ name: "below" }] });
  expect(formatInspection(scene.supervisor.inspect())).toMatch(/supervisor "below" {2}quarantined .*restarts 3/);
});

test("supervisor.health(): is unhealthy when all workers are quarantined and there is no session", async () => {
  await using scene = await open([dead("a"), dead("b")]);
  expect((await scene.supervisor.health()).status).toBe("unhealthy");
  expect(scene.supervisor.readyz().ok).toBe(false);
});

for (const [what, child] of [
  ["a worker", (): ChildOptions => dead("db")],
  ["a temporary worker", (): ChildOptions => dead("db", { restart: "temporary" })],
  ["a nested worker", (): ChildOptions => ({ name: "below", children: [dead("db")] })],
  ["a session", (): ChildOptions => ({ name: unique("bad"), env: { BROKEN: "1" } })],
  [
    "a session whose key is missing",
    (): ChildOptions => ({ name: unique("bad"), apiKey: { env: "NOT_SET_ANYWHERE" } }),
  ],
  [
    "a nested session",
    (): ChildOptions => ({ name: "below", children: [{ name: unique("bad"), env: { BROKEN: "1" } }] }),
  ],
] as const) {
  test(`onStartFailure: "throw" rejects the start when ${what} fails to start, and leaves nothing`, async () => {
    const [service, good] = [new Service("service"), unique("good")];
    const children = [service.child(), { name: good }, child()];
    const error = await failure(open(children, { name: "app", onStartFailure: "throw" }), "CHILD_START_FAILED");
    expect(error.message).toMatch(/^app did not start, .*(connection refused|no good|NOT_SET_ANYWHERE)/);
    expect(error.cause).toBeInstanceOf(Error);
    expect(service.log).toEqual(["service started", "service stopped"]);
    await thrown(() => session(good), "SESSION_NOT_FOUND");
    // Names and journal are free.
    await using again = await open([{ name: good }], { onStartFailure: "throw" });
    expect(again.supervisor.notStarted).toEqual([]);
  });
}

test('onStartFailure: "throw" rejects with the first failed start, without waiting for others', async () => {
  const clock = new SimulatedClock();
  const never = (): Promise<never> => new Promise(() => {});
  const startup = (process: { readonly env: NodeJS.ProcessEnv }): Promise<never> | undefined =>
    process.env["SLOW"] === "1" ? never() : undefined;
  const children = [{ name: unique("slow"), env: { SLOW: "1" } }, dead("db", { restart: "temporary" })];
  const opening = Scene.open({ clock, children, fake: { startup }, options: { onStartFailure: "throw" } });
  const error = await failure(within(clock, opening), "CHILD_START_FAILED");
  // The slow one never starts.
  expect(error.message).toContain("connection refused");
});

for (const [what, child] of [
  ["a worker", (): ChildOptions => dead("db")],
  ["a session", (): ChildOptions => ({ name: unique("bad"), env: { BROKEN: "1" } })],
  ["a session without a key", (): ChildOptions => ({ name: unique("bad"), apiKey: { env: "NOT_SET_ANYWHERE" } })],
] as const) {
  test(`onMaxRestarts: "escalate" rejects the start when ${what} fails to start, and stops the others`, async () => {
    const [service, good] = [new Service("service"), unique("good")];
    const children = [service.child(), { name: good }, child()];
    const error = await failure(open(children, { onMaxRestarts: "escalate" }), "CHILD_START_FAILED");
    expect(error.message).toMatch(/connection refused|no good|NOT_SET_ANYWHERE/);
    expect(service.log).toEqual(["service started", "service stopped"]);
    await using again = await open([{ name: good }]);
    expect(again.supervisor.notStarted).toEqual([]);
  });
}

test('session.stop(): during the start is no crash, also with `onMaxRestarts: "escalate"`', async () => {
  const gate = Promise.withResolvers<void>();
  const [ended, other] = [unique("ended"), unique("other")];
  const slow = new Service("slow");
  const { start } = slow.child();
  const waiting = {
    id: "slow",
    start: async (context: Parameters<typeof start>[0]) => {
      await gate.promise;
      return await start(context);
    },
  };
  const opening = open([waiting, { name: ended }, { name: other }], { onMaxRestarts: "escalate", maxRestarts: 0 });
  const stopped = session(ended).stop();
  gate.resolve();
  await using scene = await opening;
  await stopped;
  expect(scene.supervisor.notStarted.map(({ name }) => name)).toEqual([ended]);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual(["slow", other]);
  expect(scene.supervisor.livez().ok).toBe(true);
});
