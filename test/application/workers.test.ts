import { expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import type { Child } from "../../src/supervision/child-spec.ts";
import { eventually, failure, Scene, thrown, ticks, unique } from "../session-on-fake/scene.ts";
import { Service } from "./service.ts";

const remember = {
  script: (turn: { history: readonly unknown[]; text(text: string): Promise<void> }) =>
    turn.text(`${turn.history.length}`),
};

test("Workers: start in order with the sessions, and stop in reverse", async () => {
  const log: string[] = [];
  const [first, last, name] = [new Service("first", log), new Service("last", log), unique()];
  const children = [
    first.child(),
    { name },
    { id: "witness", start: () => witness(log, `session ${session(name).status().state}`) },
    last.child(),
  ];
  await using scene = await Scene.open({ children });
  const [process] = scene.fake.processes;
  void process?.exited.then(() => log.push("process ended"));
  // The worker started after the session had begun to start, and before its process was up.
  expect(log).toEqual(["first started", "session starting", "last started"]);
  log.length = 0;
  await scene.supervisor.stop();
  expect(log).toEqual(["last stopped", "process ended", "first stopped"]);
});

/** A worker that logs its start and never exits. */
function witness(log: string[], line: string): Child {
  log.push(line);
  return { exited: new Promise(() => {}), stop: async () => {} };
}

test("Workers: a slow start delays the later children", async () => {
  const open = Promise.withResolvers<void>();
  const name = unique();
  const start = async (): Promise<Child> => {
    await open.promise;
    return witness([], "slow");
  };
  const opening = Scene.open({ children: [{ id: "slow", start }, { name }] });
  await ticks(5);
  expect(session(name).status()).toMatchObject({ state: "starting", starts: 0 });
  open.resolve();
  await using _ = await opening;
  expect(session(name).status()).toMatchObject({ state: "idle", starts: 1 });
});

test("Workers: a crash restarts the worker alone", async () => {
  const [service, name] = [new Service("db"), unique()];
  await using scene = await Scene.open({ children: [service.child(), { name }] });
  service.crash();
  await eventually(() => service.starts === 2);
  expect(session(name).status().starts).toBe(1);
  expect(scene.supervisor.whichChildren()[0]).toEqual({ id: "db", type: "worker", state: "running" });
});

test("Workers: with one_for_all, a crash restarts the sessions, which keep their conversations", async () => {
  const [service, name] = [new Service("db"), unique()];
  await using _ = await Scene.open({
    ...remember,
    children: [service.child(), { name }],
    options: { strategy: "one_for_all" },
  });
  await query(name, "one");
  service.crash();
  await eventually(() => session(name).status().starts === 2);
  expect((await query(name, "two")).text).toBe("2");
  expect(service.starts).toBe(2);
});

test("Workers: crashes and failed starts count, and beyond maxRestarts the worker is quarantined alone", async () => {
  const [service, name] = [new Service("db"), unique()];
  await using scene = await Scene.open({ children: [service.child(), { name }], options: { maxRestarts: 1 } });
  service.failures.push(new Error("no route"));
  service.crash();
  await eventually(() => scene.supervisor.whichChildren()[0]?.state === "quarantined");
  expect(service.starts).toBe(2);
  expect(scene.log.at(-1)).toBe('child "db" is quarantined: no route.');
  expect((await query(name, "hi")).text).toBe("You said: hi");

  await scene.supervisor.restartChild("db");
  expect(scene.supervisor.whichChildren()[0]?.state).toBe("running");
  expect(service.starts).toBe(3);
});

test("Workers: the exit's disposition quarantines at once, or counts no restart", async () => {
  const [broken, unlucky] = [new Service("broken"), new Service("unlucky")];
  await using scene = await Scene.open({
    children: [broken.child(), unlucky.child()],
    options: { maxRestarts: 0 },
  });
  broken.exit({ reason: "abnormal", disposition: "quarantine", cause: new Error("bad setting") });
  unlucky.exit({ reason: "abnormal", disposition: "free" });
  await eventually(() => unlucky.starts === 2 && scene.supervisor.whichChildren()[0]?.state === "quarantined");
  expect(broken.starts).toBe(1);
  expect(scene.supervisor.whichChildren()[1]?.state).toBe("running");
});

test("WorkerOptions.start: is called on its own object", async () => {
  class Connections {
    readonly #opened: string[] = [];
    get id(): string {
      return "connections";
    }
    get opened(): readonly string[] {
      return this.#opened;
    }
    start(): Child {
      this.#opened.push(this.id);
      return { exited: new Promise(() => {}), stop: async () => {} };
    }
  }
  const connections = new Connections();
  await using scene = await Scene.open({ children: [connections] });
  expect(connections.opened).toEqual(["connections"]);
  expect(scene.supervisor.countChildren()).toMatchObject({ specs: 1, active: 1, workers: 1 });
});

test("WorkerOptions.start: receives the attempt's number, and a signal that aborts on stop()", async () => {
  const attempts: number[] = [];
  const hangs = Promise.withResolvers<AbortSignal>();
  const service = new Service("db");
  const start = async ({ attempt, signal }: { attempt: number; signal: AbortSignal }): Promise<Child> => {
    attempts.push(attempt);
    if (attempt === 0) return await service.child().start({ attempt, signal });
    hangs.resolve(signal);
    return await new Promise<Child>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  await using scene = await Scene.open({ children: [{ id: "db", start }] });
  service.crash();
  const signal = await hangs.promise;
  expect(attempts).toEqual([0, 1]);
  await scene.supervisor.stop();
  expect(signal.aborted).toBe(true);
});

test("autoShutdown: a significant worker ends its supervisor and the sessions", async () => {
  const [service, name] = [new Service("main"), unique()];
  await using scene = await Scene.open({
    children: [service.child({ restart: "transient", significant: true }), { name }],
    options: { autoShutdown: "any_significant" },
  });
  service.exit({ reason: "normal", cause: "all done" });
  expect(await scene.supervisor.closed).toEqual({ reason: "auto_shutdown", cause: "all done" });
  expect(scene.fake.running).toEqual([]);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test('autoShutdown: "all_significant" waits for the last significant worker', async () => {
  const [one, two] = [new Service("one"), new Service("two")];
  const keeping = { restart: "temporary", significant: true } as const;
  await using scene = await Scene.open({
    children: [one.child(keeping), two.child(keeping)],
    options: { autoShutdown: "all_significant" },
  });
  one.crash();
  await eventually(() => scene.supervisor.countChildren().specs === 1);
  expect(scene.supervisor.inspect().state).toBe("running");
  two.exit({ reason: "normal" });
  expect((await scene.supervisor.closed).reason).toBe("auto_shutdown");
});

test('restart: "temporary" removes a worker that ends, and frees its id', async () => {
  const [service, other] = [new Service("once"), new Service("other")];
  await using scene = await Scene.open({ children: [service.child({ restart: "temporary" }), other.child()] });
  service.exit({ reason: "normal" });
  await eventually(() => scene.supervisor.countChildren().specs === 1);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual(["other"]);
  await failure(scene.supervisor.restartChild("once"), "CHILD_NOT_FOUND");
  await scene.supervisor.startChild(service.child());
  expect(service.starts).toBe(2);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual(["other", "once"]);
});

test('restart: "transient" leaves a worker that ended normally terminated until restartChild()', async () => {
  const service = new Service("job");
  await using scene = await Scene.open({ children: [service.child({ restart: "transient" })] });
  service.exit({ reason: "normal" });
  await eventually(() => scene.supervisor.whichChildren()[0]?.state === "terminated");
  await scene.supervisor.restartChild("job");
  expect(service.starts).toBe(2);
});

test("WorkerOptions.shutdown: is passed to `stop`", async () => {
  const told: unknown[] = [];
  const start = (): Child => {
    const end = Promise.withResolvers<{ reason: "shutdown" }>();
    const stop = async (how: unknown): Promise<void> => {
      told.push(how);
      end.resolve({ reason: "shutdown" });
    };
    return { exited: end.promise, stop };
  };
  await using scene = await Scene.open({
    children: [
      { id: "given", start, shutdown: "2s" },
      { id: "default", start },
      { id: "killed", start, shutdown: "brutal_kill" },
    ],
  });
  await scene.supervisor.stop();
  expect(told).toEqual(["brutal_kill", 5_000, 2_000]);
});

test("Supervisor.start(): rejects wrong workers with their path before a child starts", async () => {
  const [good, name] = [new Service("good"), unique()];
  const wrong: unknown[] = [
    good.child(),
    { id: "", start: () => {} },
    { id: "db", start: "now" },
    { ...new Service("typo").child(), restrat: "temporary" },
    new Service("twice").child(),
    new Service("twice").child(),
    new Service("significant").child({ restart: "temporary", significant: true }),
    { name },
  ];
  const children = wrong as Parameters<typeof Supervisor.start>[0];
  const error = await failure(Supervisor.start(children), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual([
    "children[1].id",
    "children[2].start",
    "children[3].restrat",
    "children[5].id",
    "children[6].significant",
  ]);
  expect(error.details.problems[3]?.message).toContain("children[4]");
  expect(good.starts).toBe(0);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("significant: rejects a permanent worker at any level", async () => {
  const worker = new Service("db").child({ significant: true });
  const options = { autoShutdown: "any_significant" } as const;
  const flat = await failure(Supervisor.start([worker], options), "INVALID_OPTIONS");
  expect(flat.details.problems.map(({ field }) => field)).toEqual(["children[0].significant"]);
  const nested = await failure(
    Supervisor.start([{ name: "below", children: [worker], ...options }]),
    "INVALID_OPTIONS",
  );
  expect(nested.details.problems.map(({ field }) => field)).toEqual(["children[0].children[0].significant"]);
});

test("Supervisor.start(): rejects equal names of a session and a worker", async () => {
  const name = unique();
  const error = await failure(Supervisor.start([{ name }, new Service(name).child()]), "INVALID_OPTIONS");
  expect(error.details.problems).toEqual([
    { field: "children[1].id", message: `${JSON.stringify(name)} is also the name of children[0]` },
  ]);
});
