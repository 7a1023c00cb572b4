import { expect, test } from "vitest";
import type { WorkerOptions } from "../../src/application/options/child-options.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { eventually, failure, RejectionWatch, Scene, thrown, unique } from "../session-on-fake/scene.ts";
import { Service } from "./service.ts";

test("Supervisor.start(): starts sessions that answer by name", async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({ children: [{ name: a }, { name: b }] });
  expect((await query(a, "one")).text).toBe("You said: one");
  expect((await scene.supervisor.query(b, "two")).text).toBe("You said: two");
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.supervisor.notStarted).toEqual([]);
});

test("supervisor.listSessions(): returns the sessions in start order with their status", async () => {
  const [a, b] = [unique("a"), unique("b")];
  await using scene = await Scene.open({ children: [{ name: a }, { name: b }] });
  const list = scene.supervisor.listSessions();
  expect(
    list.map(({ name, state, starts, restarts, mailbox }) => ({ name, state, starts, restarts, mailbox })),
  ).toEqual([
    { name: a, state: "idle", starts: 1, restarts: 0, mailbox: 0 },
    { name: b, state: "idle", starts: 1, restarts: 0, mailbox: 0 },
  ]);
  expect(new Set(list.map(({ pid }) => pid))).toEqual(new Set(scene.fake.processes.map(({ pid }) => pid)));
  expect(scene.supervisor.countSessions()).toBe(2);
});

test("Supervisor.start(): starts processes concurrently", async () => {
  const all = Promise.withResolvers<void>();
  const names = [unique(), unique(), unique()];
  await using scene = await Scene.open({
    children: names.map((name) => ({ name })),
    // No handshake completes before the last one has begun, so a sequential start would never end.
    fake: { startup: (_, n) => (n === 3 ? all.resolve() : all.promise) },
  });
  expect(scene.supervisor.listSessions().map(({ state }) => state)).toEqual(["idle", "idle", "idle"]);
});

test("Supervisor.start(): names a session that fails to start, and starts the others", async () => {
  const [good, bad, other] = [unique("good"), unique("bad"), unique("other")];
  await using scene = await Scene.open({
    children: [{ name: good }, { name: bad, env: { BROKEN: "1" } }, { name: other }],
    fake: {
      startup: (process) => {
        if (process.env["BROKEN"] === "1") process.crash({ code: 7, stderr: "no good" });
      },
    },
  });
  const { notStarted } = scene.supervisor;
  expect(notStarted.map(({ name }) => name)).toEqual([bad]);
  expect(notStarted[0]?.error.code).toBe("SESSION_QUARANTINED");
  expect(notStarted[0]?.error.message).toContain("no good");
  expect((await query(good, "hi")).text).toBe("You said: hi");
  expect((await query(other, "hi")).text).toBe("You said: hi");
  const refused = await failure(query(bad, "hi"), "SESSION_QUARANTINED");
  expect(refused.details.lastExits.at(-1)).toMatchObject({ class: "crash", code: 7, stderr: "no good" });
  expect(scene.supervisor.session(bad).status()).toMatchObject({ state: "quarantined" });
});

test("Supervisor.start(): rejects names in use with their supervisor, and takes none", async () => {
  const [held, free] = [unique("held"), unique("free")];
  await using scene = await Scene.open({ children: [{ name: held }], options: { name: "the-first" } });
  const { spawn } = scene.fake;
  const again = Supervisor.start([{ name: free }, { name: held }], { defaults: { spawnClaudeCodeProcess: spawn } });
  const error = await failure(again, "SESSION_ALREADY_STARTED");
  expect(error.details.supervisor).toBe("the-first");
  expect(error.message).toContain("the-first");
  await thrown(() => session(free), "SESSION_NOT_FOUND");
  expect(scene.fake.processes).toHaveLength(1);
  expect((await query(held, "still there?")).text).toBe("You said: still there?");
});

test("Supervisor.start(): reports all problems of the children before a process starts", async () => {
  const fake = fakeClaude();
  const name = unique();
  const options = { defaults: { spawnClaudeCodeProcess: fake.spawn } };
  const children = [{ name, maxTurns: 0 }, { name }, { name: "", timeout: "soon" }];
  const error = await failure(Supervisor.start(children, options), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(
    expect.arrayContaining(["children[0].maxTurns", "children[2].name", "children[2].timeout"]),
  );
  const twice = await failure(Supervisor.start([{ name }, { name }], options), "INVALID_OPTIONS");
  expect(twice.details.problems.map(({ field }) => field)).toEqual(["children[1].name"]);
  expect(fake.processes).toEqual([]);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("Supervisor.start(): accepts no children", async () => {
  const watch = new RejectionWatch();
  const supervisor = await Supervisor.start([]);
  expect(supervisor.countSessions()).toBe(0);
  await supervisor.stop();
  expect(await supervisor.closed).toEqual({ reason: "stopped" });
  await watch.end();
});

test("Supervisor: `await using` stops its processes and frees the names", async () => {
  const fake = fakeClaude();
  const name = unique();
  const defaults = { spawnClaudeCodeProcess: fake.spawn };
  {
    await using supervisor = await Supervisor.start([{ name }], { defaults });
    await supervisor.query(name, "hi");
  }
  expect(fake.running).toEqual([]);
  await failure(query(name, "hi"), "SESSION_NOT_FOUND");
  await using again = await Supervisor.start([{ name }], { defaults });
  expect((await again.query(name, "hello")).text).toBe("You said: hello");
});

test("notStarted: has all exits of a session that was quarantined while a sibling started", async () => {
  const [bad, service] = [unique("bad"), new Service("slow")];
  const worker = service.child();
  const start: WorkerOptions["start"] = async (context) => {
    await eventually(() => session(bad).status().state === "quarantined");
    return await worker.start(context);
  };
  await using scene = await Scene.open({
    children: [{ name: bad }, { ...worker, start }],
    fake: { startup: (process, n) => process.crash({ code: n }) },
  });
  const error = scene.supervisor.notStarted[0]?.error;
  if (!CastellanError.is(error, "SESSION_QUARANTINED")) throw new Error("the session is not quarantined");
  expect(error.details.lastExits.map(({ code }) => code)).toEqual([1, 2, 3, 4]);
  expect(error.message).toContain("4 failed starts");
});

test("session.stop(): during the start leaves no process", async () => {
  const watch = new RejectionWatch();
  const [gone, stays] = [unique("gone"), unique("stays")];
  const fake = fakeClaude();
  const starting = Supervisor.start([{ name: gone }, { name: stays }], {
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  await session(gone).stop();
  await using supervisor = await starting;
  expect(supervisor.listSessions().map(({ name }) => name)).toEqual([stays]);
  await thrown(() => session(gone), "SESSION_NOT_FOUND");
  await supervisor.query(stays, "hi");
  await eventually(() => fake.running.length <= 1);
  expect(fake.running).toHaveLength(1);
  await watch.end();
});

test("query(): during the start waits for the process", async () => {
  const name = unique();
  const fake = fakeClaude();
  const starting = Supervisor.start([{ name }], { defaults: { spawnClaudeCodeProcess: fake.spawn } });
  const reply = query(name, "early");
  await using _ = await starting;
  expect((await reply).text).toBe("You said: early");
});

test("abortController: an abort during the handshake stops the process", async () => {
  const name = unique();
  const fake = fakeClaude(undefined, { startup: () => new Promise(() => {}) });
  const abort = new AbortController();
  const starting = Supervisor.start([{ name, abortController: abort }], {
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  const waiting = query(name, "hi");
  await eventually(() => fake.processes.length === 1);
  abort.abort();
  await failure(waiting, "SESSION_STOPPED");
  await using supervisor = await starting;
  await eventually(() => fake.running.length === 0 && supervisor.countSessions() === 0);
});

test('significant: rejects a significant session under `autoShutdown: "never"`, at the start and later', async () => {
  const fake = fakeClaude();
  const name = unique();
  const defaults = { spawnClaudeCodeProcess: fake.spawn };
  const significant = { name, restart: "temporary", significant: true } as const;
  const error = await failure(Supervisor.start([significant], { defaults }), "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toContain("significant");
  await using supervisor = await Supervisor.start([], { defaults });
  await failure(supervisor.startSession(significant), "INVALID_OPTIONS");
  await thrown(() => session(name), "SESSION_NOT_FOUND");
  expect(fake.processes).toEqual([]);
  await supervisor.startSession({ name });
});
