import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { eventually, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { Service } from "./service.ts";

test("inspect(): shows the whole tree in order", async () => {
  const [top, deep] = [unique("top"), unique("deep")];
  const service = new Service("db");
  await using scene = await Scene.open({
    options: { name: "application", strategy: "rest_for_one" },
    children: [
      { name: top },
      {
        name: "inner",
        strategy: "one_for_all",
        maxRestarts: 7,
        maxSeconds: 60,
        onMaxRestarts: "escalate",
        children: [service.child(), { name: "empty", children: [] }],
      },
      { name: deep },
    ],
  });
  await scene.supervisor.terminateChild("inner");
  const seen = scene.supervisor.inspect();
  const { options, ...rest } = seen;
  const usual = { maxRestarts: 3, maxSeconds: 5, onMaxRestarts: "quarantine" };
  expect(rest).toEqual({
    kind: "supervisor",
    name: "application",
    capacity: scene.supervisor.capacity(),
    journal: { location: "memory" },
    state: "running",
    strategy: "rest_for_one",
    intensity: usual,
    children: [
      { kind: "session", status: session(top).status(), options: expect.anything(), restarts: 0, lastExits: [] },
      {
        kind: "supervisor",
        name: "inner",
        state: "terminated",
        strategy: "one_for_all",
        intensity: { maxRestarts: 7, maxSeconds: 60, onMaxRestarts: "escalate" },
        restarts: 0,
        lastExits: [],
        children: [
          { kind: "worker", name: "db", state: "terminated", restarts: 0, lastExits: [] },
          {
            kind: "supervisor",
            name: "empty",
            state: "terminated",
            strategy: "one_for_one",
            intensity: usual,
            restarts: 0,
            lastExits: [],
            children: [],
          },
        ],
      },
      { kind: "session", status: session(deep).status(), options: expect.anything(), restarts: 0, lastExits: [] },
    ],
  });
  expect(options["strategy"]).toEqual({
    value: "rest_for_one",
    origin: { from: "supervisor", name: "application" },
  });
  expect(JSON.parse(JSON.stringify(seen))).toEqual(seen);
});

test("inspect(): shows the last exits with their evidence, oldest first", async () => {
  const clock = new SimulatedClock();
  const name = unique();
  const service = new Service("db");
  await using scene = await Scene.open({ clock, children: [{ name }, service.child()] });
  await clock.advance(1_000);
  scene.fake.processes[0]?.crash({ code: 3, stderr: "first" });
  await scene.fake.started(2);
  await clock.advance(1_000);
  scene.fake.processes[1]?.kill("SIGKILL");
  await eventually(() => session(name).status().restarts === 2);
  const cause = new Error("no route");
  service.crash(cause);
  await eventually(() => service.starts === 2);
  const [one, db] = scene.supervisor.inspect().children;
  expect(one).toMatchObject({
    kind: "session",
    status: { state: "restarting", restarts: 2 },
    lastExits: [
      { class: "crash", code: 3, stderr: "first", at: 1_000 },
      { class: "crash", signal: "SIGKILL", at: 2_000 },
    ],
  });
  expect(db).toEqual({
    kind: "worker",
    name: "db",
    state: "running",
    restarts: 1,
    lastExits: [{ at: 2_000, message: "no route", cause }],
  });
  service.crash(cause);
  await eventually(() => scene.supervisor.whichChildren()[1]?.state === "restarting");
  const [, waiting] = scene.supervisor.inspect().children;
  expect(waiting).toMatchObject({ state: "restarting", restarts: 2 });
  const retryAt = waiting?.kind === "worker" ? waiting.retryAt : undefined;
  expect(retryAt).toBeGreaterThan(2_000);
  await clock.advance((retryAt ?? 0) - 2_000);
  await eventually(() => service.starts === 3);
  expect(scene.supervisor.inspect().children[1]).not.toHaveProperty("retryAt");
});

test("inspect(): keeps ten exits, and shows a quarantined child", async () => {
  const service = new Service("db");
  await using scene = await Scene.open({ options: { maxRestarts: 0 }, children: [service.child()] });
  for (let n = 1; n <= 12; n++) {
    service.crash(n);
    await eventually(() => scene.supervisor.whichChildren()[0]?.state === "quarantined");
    if (n < 12) await scene.supervisor.restartChild("db");
  }
  const [db] = scene.supervisor.inspect().children;
  expect(db).toMatchObject({ kind: "worker", state: "quarantined" });
  const causes = db?.kind === "worker" ? db.lastExits.map(({ cause }) => cause) : [];
  expect(causes).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
});
