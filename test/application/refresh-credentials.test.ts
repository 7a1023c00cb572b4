import { afterEach, expect, test, vi } from "vitest";
import { checkout, query, session, stream } from "../../src/castellan.ts";
import { pool, template } from "../../src/index.ts";
import type { FakeProcess, FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, type Setting, thrown, ticks, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const KEY = "CASTELLAN_TEST_ROTATED";
const apiKey = { env: KEY };

const keyOf = (process: FakeProcess | undefined): string => process?.env["ANTHROPIC_API_KEY"] ?? "";

afterEach(() => vi.unstubAllEnvs());

const tellKey: FakeScript = async (turn) => {
  await turn.text(`${turn.history.length} with ${keyOf(turn.process)}`);
};

/** Opens a scene whose processes have the key "old". */
function opened(setting: Setting): Promise<Scene> {
  vi.stubEnv(KEY, "old");
  return Scene.open({ script: tellKey, ...setting, session: { apiKey, ...setting.session } });
}

test("refreshCredentials(): replaces processes with a changed key, keeps conversations, and touches no others", async () => {
  const [one, two, other, lazy, family, below] = ["one", "two", "other", "lazy", "family", "below"].map(unique) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  await using scene = await opened({
    children: [
      { name: one, apiKey },
      { name: two, apiKey },
      { name: other, apiKey: "its own" },
      { name: lazy, apiKey, activation: "lazy" },
      template(family, { apiKey }),
      { name: unique("inner"), children: [{ name: below, apiKey }] },
    ],
    options: { maxRestarts: 0 },
  });
  await query(one, "hi");
  await query([family, 1], "hi");
  await query([family, 2], "hi");
  await session([family, 2]).hibernate();
  const untouched = await scene.supervisor.refreshCredentials();
  expect(untouched).toEqual({ replaced: [], waiting: [], failed: [], unchanged: 7 });
  vi.stubEnv(KEY, "new");
  const report = await scene.supervisor.refreshCredentials();
  expect(report).toEqual({ replaced: [one, two, below, [family, 1]], waiting: [], failed: [], unchanged: 3 });
  for (const name of [one, two, below, [family, 1]] as const) {
    expect(session(name).status()).toMatchObject({ state: "idle", starts: 2, restarts: 0 });
  }
  expect(session(other).status()).toMatchObject({ state: "idle", starts: 1 });
  expect(session(lazy).status()).toMatchObject({ state: "hibernated", starts: 0 });
  expect(scene.fake.running.map(keyOf).toSorted()).toEqual(["its own", "new", "new", "new", "new"]);
  for (const name of [one, [family, 1], [family, 2]] as const) {
    expect((await query(name, "again")).text).toBe("2 with new");
  }
  expect((await query(lazy, "hi")).text).toBe("0 with new");
  expect(await scene.supervisor.refreshCredentials()).toMatchObject({ replaced: [], unchanged: 7 });
});

test("refreshCredentials(): waits for a running turn until the deadline, and reports the session as waiting", async () => {
  const [gate, clock] = [Promise.withResolvers<void>(), new SimulatedClock()];
  await using scene = await opened({
    clock,
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      await turn.text(keyOf(turn.process));
    },
  });
  const [long, next] = [query(scene.name, "long"), query(scene.name, "next")];
  await scene.fake.prompted(1);
  vi.stubEnv(KEY, "new");
  const { refreshCredentials } = scene.supervisor;
  const late = refreshCredentials.call(scene.supervisor, { deadline: "5s" });
  const patient = refreshCredentials.call(scene.supervisor, { deadline: "1h" });
  await clock.advance(5_000);
  expect(await late).toEqual({ replaced: [], waiting: [scene.name], failed: [], unchanged: 0 });
  expect(scene.session.status()).toMatchObject({ state: "busy", starts: 1 });
  gate.resolve();
  expect([(await long).text, (await next).text]).toEqual(["old", "new"]);
  expect(await patient).toEqual({ replaced: [scene.name], waiting: [], failed: [], unchanged: 0 });
  expect(scene.fake.processes).toHaveLength(2);
});

test("refreshCredentials(): waits for background tasks", async () => {
  const over = Promise.withResolvers<void>();
  const tasks = (tasks: object[]): object => ({ type: "system", subtype: "background_tasks_changed", tasks });
  await using scene = await opened({
    script: async (turn) => {
      turn.afterResult(async () => {
        await turn.emit({ ...tasks([{ task_id: "t", task_type: "shell", description: "a build" }]) });
        await over.promise;
        await turn.emit({ ...tasks([]) });
      });
      await turn.text("begun");
    },
  });
  await query(scene.name, "build");
  await eventually(() => scene.session.status().backgroundTasks === 1);
  vi.stubEnv(KEY, "new");
  const refresh = scene.supervisor.refreshCredentials();
  await ticks(20);
  expect(scene.session.status()).toMatchObject({ state: "busy", starts: 1 });
  over.resolve();
  expect((await refresh).replaced).toEqual([scene.name]);
});

test("refreshCredentials(): restores sessions that were quarantined for their key, when that has changed", async () => {
  const [refused, crashed, unset] = ["refused", "crashed", "unset"].map(unique) as [string, string, string];
  const UNSET = "CASTELLAN_TEST_UNSET";
  await using scene = await opened({
    options: { maxRestarts: 0 },
    children: [
      { name: refused, apiKey },
      { name: crashed, apiKey },
      { name: unset, apiKey: { env: UNSET } },
    ],
    script: async (turn) => {
      if (turn.prompt === "die") await turn.crash();
      if (keyOf(turn.process) === "old") await turn.fail({ status: 401 });
      else await turn.text(keyOf(turn.process));
    },
  });
  await failure(query(refused, "one"), "TURN_FAILED");
  await failure(query(crashed, "die"), "SESSION_QUARANTINED");
  expect(await scene.supervisor.refreshCredentials()).toMatchObject({ replaced: [], failed: [], unchanged: 3 });
  expect(session(refused).status().state).toBe("quarantined");
  vi.stubEnv(KEY, "new");
  vi.stubEnv(UNSET, "set");
  expect(await scene.supervisor.refreshCredentials()).toMatchObject({ replaced: [refused, unset], failed: [] });
  expect([(await query(refused, "one")).text, (await query(unset, "one")).text]).toEqual(["new", "set"]);
  expect(session(crashed).status().state).toBe("quarantined");
});

test("refreshCredentials(): keeps the process when the variable is no longer set, and reports it", async () => {
  await using scene = await opened({});
  vi.stubEnv(KEY, "");
  const { failed, replaced } = await scene.supervisor.refreshCredentials();
  expect(replaced).toEqual([]);
  expect(failed).toMatchObject([{ name: scene.name, error: { code: "START_FAILED" } }]);
  expect(failed[0]?.error.message).toMatch(
    /no API key: .*CASTELLAN_TEST_ROTATED.* its process keeps the key that it has/,
  );
  expect((await query(scene.name, "hi")).text).toBe("0 with old");
});

test("refreshCredentials(): reports a process that fails to start, and quarantines its session alone", async () => {
  const [fine, broken] = [unique("fine"), unique("broken")];
  await using scene = await opened({
    children: [
      { name: fine, apiKey },
      { name: broken, apiKey },
    ],
    fake: {
      startup: (process, index) => {
        if (index === 4) process.failStart("no", "org_pin_mismatch");
      },
    },
  });
  vi.stubEnv(KEY, "new");
  const { replaced, failed } = await scene.supervisor.refreshCredentials();
  expect(replaced).toEqual([fine]);
  expect(failed).toMatchObject([{ name: broken, error: { code: "SESSION_QUARANTINED" } }]);
});

test("refreshCredentials(): a key that changes during one call is used by the next", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await opened({
    fake: {
      startup: async (_, index) => {
        if (index === 2) await gate.promise;
      },
    },
  });
  vi.stubEnv(KEY, "newer");
  const first = scene.supervisor.refreshCredentials();
  await eventually(() => scene.fake.processes.length === 2);
  vi.stubEnv(KEY, "newest");
  const second = scene.supervisor.refreshCredentials();
  gate.resolve();
  expect([(await first).replaced, (await second).replaced]).toEqual([[scene.name], [scene.name]]);
  expect((await query(scene.name, "hi")).text).toBe("0 with newest");
  expect(scene.fake.processes.map(keyOf)).toEqual(["old", "newer", "newest"]);
});

test("refreshCredentials(): replaces processes of pool members, lent or not, and loans continue", async () => {
  const name = unique("pool");
  await using scene = await opened({ children: [pool(name, { size: 2, apiKey })] });
  const [loan, other] = [await checkout(name), await checkout(name)];
  for (const { session: lent } of [loan, other]) await lent.query("remember");
  await other.checkin();
  vi.stubEnv(KEY, "new");
  const { replaced } = await scene.supervisor.refreshCredentials();
  expect(replaced).toEqual([
    [name, 0],
    [name, 1],
  ]);
  expect((await loan.session.query("what?")).text).toBe("2 with new");
  await loan.checkin();
  expect((await query(name, "hi")).text).toBe("0 with new");
});

test("refreshCredentials(): replaces spares", async () => {
  const [name, clock] = [unique("family"), new SimulatedClock()];
  await using scene = await opened({
    clock,
    children: [template(name, { apiKey })],
    options: { capacity: { spares: 1 } },
  });
  const ready = async (): Promise<void> => {
    while (scene.supervisor.capacity().spares.ready < 1) {
      await ticks(5);
      await clock.advance(600);
    }
  };
  await ready();
  vi.stubEnv(KEY, "new");
  await scene.supervisor.refreshCredentials();
  await clock.advance(600);
  await eventually(() => scene.fake.running.every((process) => keyOf(process) === "new"));
  await ready();
  const [spare] = scene.fake.running;
  expect((await query([name, 1], "hi")).text).toBe("0 with new");
  expect(session([name, 1]).status().pid).toBe(spare?.pid);
});

test("refreshCredentials(): replaces a held session's process before its turns run", async () => {
  const clock = new SimulatedClock();
  await using scene = await opened({
    clock,
    script: async (turn) => {
      if (turn.prompt !== "one") return turn.text(keyOf(turn.process));
      await turn.emit({ type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt: 60 } });
      await turn.fail({ status: 429 });
    },
  });
  // A rejected first turn would replace the process.
  await query(scene.name, "zero");
  await failure(query(scene.name, "one"), "TURN_FAILED");
  vi.stubEnv(KEY, "new");
  const refresh = scene.supervisor.refreshCredentials();
  await clock.advance(30_000);
  expect((await refresh).waiting).toEqual([scene.name]);
  const two = query(scene.name, "two");
  expect((await within(clock, two)).text).toBe("new");
});

test("refreshCredentials(): resolves when a session or the supervisor stops", async () => {
  const names = [unique("ended"), unique("busy")] as const;
  await using scene = await opened({
    children: names.map((name) => ({ name, apiKey })),
    script: (turn) => turn.hang(),
  });
  const turns = names.map((name) => stream(name, "work"));
  await scene.fake.prompted(2);
  vi.stubEnv(KEY, "new");
  const refresh = scene.supervisor.refreshCredentials({ deadline: "1h" });
  await scene.supervisor.terminateSession(names[0]);
  await scene.supervisor.stop();
  expect(await refresh).toMatchObject({ replaced: [], failed: [] });
  await Promise.allSettled(turns.map((turn) => turn.result()));
  await thrown(() => scene.supervisor.refreshCredentials(), "SUPERVISOR_STOPPED");
});

test("refreshCredentials(): rejects a wrong deadline", async () => {
  await using scene = await opened({});
  await thrown(() => scene.supervisor.refreshCredentials({ deadline: "soon" }), "INVALID_OPTIONS");
});
