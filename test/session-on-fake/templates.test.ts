import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, thrown, ticks, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("template(): starts a session when it is first named, with its own options and conversation, and no process before a turn", async () => {
  const name = unique("support");
  const made: unknown[] = [];
  const family = template(name, (user: number, topic?: string) => {
    made.push([user, topic]);
    return { model: `model-${user}` };
  });
  await using scene = await Scene.open({ script: count, children: [family] });
  expect(scene.supervisor.listSessions()).toEqual([]);
  expect((await query([name, 1], "hi")).text).toBe("0");
  expect((await query([name, 1], "again")).text).toBe("2");
  expect((await scene.supervisor.query([name, 2, "bills"], "hi")).text).toBe("0");
  expect(scene.fake.processes.map(({ model }) => model)).toEqual(["model-1", "model-2"]);
  const third = session([name, 3]);
  expect(third.name).toEqual([name, 3]);
  await eventually(() => third.status().state === "hibernated");
  await ticks(20);
  expect(scene.fake.processes).toHaveLength(2);
  expect(made).toEqual([
    [1, undefined],
    [2, "bills"],
    [3, undefined],
  ]);
  expect(scene.supervisor.listSessions({ prefix: name })).toHaveLength(3);
  expect(scene.supervisor.listSessions({ prefix: [name, 2] }).map((status) => status.name)).toEqual([
    [name, 2, "bills"],
  ]);
  expect(scene.supervisor.listSessions({ prefix: "nobody" })).toEqual([]);
  expect(scene.supervisor.inspect().children[0]).toEqual({ kind: "template", name, sessions: 3 });
  expect(scene.supervisor.whichChildren()[0]).toEqual({ id: name, type: "template", state: "running" });
});

test("template(): returns one session for simultaneous uses of a name, and rejects names outside the family", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: count, children: [template(name)] });
  expect(session([name, "a"])).toBe(session([name, "a"]));
  expect(session([name, "1"])).not.toBe(session([name, 1]));
  const replies = await Promise.all(["x", "y", "z"].map((prompt) => query([name, "a"], prompt)));
  expect(replies.map(({ text }) => text)).toEqual(["0", "2", "4"]);
  await thrown(() => session(name), "SESSION_NOT_FOUND");
  await thrown(() => session([name]), "SESSION_NOT_FOUND");
  await thrown(() => session([name, ""]), "INVALID_OPTIONS");
  await thrown(() => session([`${name}x`, 1]), "SESSION_NOT_FOUND");
  expect(scene.fake.processes).toHaveLength(1);
});

test("template(): 40 sessions on four processes all answer, with their conversations", async () => {
  const name = unique();
  await using scene = await Scene.open({
    script: count,
    children: [template(name)],
    options: { capacity: { maxProcesses: 4 } },
  });
  const users = Array.from({ length: 40 }, (_, user) => user);
  for (const text of ["0", "2"]) {
    const replies = await Promise.all(users.map((user) => query([name, user], "hi")));
    expect(new Set(replies.map((reply) => reply.text))).toEqual(new Set([text]));
  }
  expect(scene.fake.running.length).toBeLessThanOrEqual(4);
});

test("template({ maxSessions }): evicts the longest hibernated session, and its name or handle brings it back", async () => {
  const name = unique();
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: count,
    children: [template(name, {}, { maxSessions: 2 })],
  });
  await query([name, 1], "hi");
  await query([name, 2], "hi");
  const full = await thrown(() => session([name, 3]), "TEMPLATE_FULL");
  expect(full.details).toEqual({ template: name, maxSessions: 2 });
  await session([name, 2]).hibernate();
  await clock.advance(1);
  await session([name, 1]).hibernate();
  const second = session([name, 2]);
  expect((await query([name, 3], "hi")).text).toBe("0");
  expect(scene.supervisor.listSessions({ prefix: name }).map((status) => status.name)).toEqual([
    [name, 1],
    [name, 3],
  ]);
  // A handle brings an evicted session back, as its name does.
  expect((await second.query("again")).text).toBe("2");
  expect(second.status().state).toBe("idle");
  expect(scene.supervisor.listSessions().map((status) => status.name)).toEqual([
    [name, 3],
    [name, 2],
  ]);
});

test("template({ maxSessions: 1 }): two sessions that evict each other keep their conversations", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: count, children: [template(name, {}, { maxSessions: 1 })] });
  for (let round = 0; round < 6; round++) {
    for (const user of ["a", "b"]) {
      expect((await query([name, user], "hi")).text).toBe(String(2 * round));
      await session([name, user]).hibernate();
    }
  }
  expect(scene.supervisor.countSessions()).toBe(1);
});

test("template({ retention }): evicts an unused session after that time", async () => {
  const name = unique();
  const clock = new SimulatedClock();
  const family = template(name, { idleTimeout: "1m" }, { retention: "1h" });
  await using scene = await Scene.open({ clock, script: count, children: [family] });
  await query([name, 1], "hi");
  await clock.advance(60_000);
  await eventually(() => scene.fake.running.length === 0);
  await clock.advance(30 * 60_000);
  expect(scene.supervisor.countSessions()).toBe(1);
  await clock.advance(60 * 60_000);
  expect(scene.supervisor.countSessions()).toBe(0);
  expect((await query([name, 1], "hi")).text).toBe("2");
});

test("template({ maxHibernated }): evicts the longest hibernated sessions beyond the limit, and all keep their conversations", async () => {
  const name = unique();
  const family = template(name, {}, { maxHibernated: 10 });
  await using scene = await Scene.open({
    script: count,
    children: [family],
    options: { capacity: { maxProcesses: 2 } },
  });
  const users = Array.from({ length: 60 }, (_, user) => user);
  for (const user of users) await query([name, user], "hi");
  // Eviction runs now and then, and does not count a session that may still be at work.
  expect(scene.supervisor.countSessions()).toBeLessThanOrEqual(10 + 1 + 2);
  expect(scene.supervisor.countSessions()).toBeGreaterThanOrEqual(10 - 1);
  const turnId = await session([name, 0]).enqueue("hi");
  const replies = await Promise.all(users.map((user) => query([name, user], "hi")));
  expect(replies.map(({ text }) => text)).toEqual(users.map((user) => (user === 0 ? "4" : "2")));
  for (const user of users) await session([name, user]).hibernate();
  // The outcome of an evicted session's turn stays in the journal.
  for (const user of [60, 61]) session([name, user]);
  expect(scene.supervisor.countSessions()).toBeLessThan(20);
  const turn = await session([name, 0]).turn(turnId);
  expect((await turn?.result())?.text).toBe("2");
});

test("template(): does not evict a session with a listener or a changed model", async () => {
  const [name, clock] = [unique(), new SimulatedClock()];
  await using scene = await Scene.open({ clock, script: count, children: [template(name, { idleTimeout: "1m" })] });
  const keys = ["plain", "watched", "changed"];
  for (const key of keys) await query([name, key], "hi");
  await session([name, "changed"]).setModel("another");
  const events = session([name, "watched"]).events();
  const next = events.next();
  await clock.advance(60_000);
  await eventually(() => scene.fake.running.length === 0);
  expect((await next).value).toMatchObject({ type: "state" });
  await clock.advance(4 * 60_000);
  expect(scene.supervisor.countSessions()).toBe(3);
  await clock.advance(4 * 60_000);
  expect(scene.supervisor.listSessions().map((status) => status.name)).toEqual([
    [name, "watched"],
    [name, "changed"],
  ]);
  await query([name, "changed"], "hi");
  expect(scene.fake.processes.at(-1)?.model).toBe("another");
  await events.return();
  await clock.advance(8 * 60_000);
  expect(scene.supervisor.listSessions().map((status) => status.name)).toEqual([[name, "changed"]]);
});

test("Session handle: refers to the session that follows an evicted one", async () => {
  const [name, clock] = [unique(), new SimulatedClock()];
  await using scene = await Scene.open({ clock, script: count, children: [template(name, { idleTimeout: "1m" })] });
  const [handle, ended] = [session([name, 1]), session([name, 2])];
  for (const one of [handle, ended]) await one.query("hi");
  await ended.stop();
  await clock.advance(60_000);
  await eventually(() => scene.fake.running.length === 0);
  await clock.advance(10 * 60_000);
  expect(scene.supervisor.countSessions()).toBe(0);
  expect(handle.status().state).not.toBe("stopped");
  expect(scene.supervisor.session(handle)).toBe(session([name, 1]));
  expect((await query(handle, "hi")).text).toBe("2");
  await scene.supervisor.restartSession(handle);
  await handle.stop();
  await failure(handle.query("hi"), "SESSION_STOPPED");
  await failure(ended.query("hi"), "SESSION_STOPPED");
  expect(scene.supervisor.countSessions()).toBe(0);
});

test("Recovery: accepted turns of template sessions run after a restart, without a use of their names", async () => {
  const [name, journal] = [unique(), memoryJournal()];
  const keys = ["a", "b", "c"];
  const asked: string[] = [];
  const fake = fakeClaude(async (turn) => {
    asked.push(turn.prompt);
    await (turn.prompt.startsWith("hold") ? turn.hang() : turn.text("done"));
  });
  const first = await run({ fake, journal }, [template(name)]);
  for (const key of keys) {
    void first.query([name, key], `hold ${key}`).catch(() => {});
    await eventually(() => asked.includes(`hold ${key}`));
    await first.session([name, key]).enqueue(`do ${key}`);
  }
  await first.stop();
  // With a limit of two, the third session starts once another has been evicted.
  const family = template(name, { onInterruptedTurn: "fail", idleTimeout: 20 }, { maxSessions: 2 });
  await using second = await run({ fake, journal }, [family]);
  await eventually(() => keys.every((key) => asked.includes(`do ${key}`)));
  expect(asked.filter((prompt) => prompt.startsWith("do")).toSorted()).toEqual(["do a", "do b", "do c"]);
  expect(second.countSessions()).toBeLessThanOrEqual(2);
});

test("template(): conversations continue after a restart of the application", async () => {
  const [name, journal, fake] = [unique(), memoryJournal(), fakeClaude(count)];
  const before = await run({ fake, journal }, [template(name)]);
  await query([name, 1], "hi");
  await before.stop();
  await thrown(() => session([name, 1]), "SESSION_NOT_FOUND");
  const after = await run({ fake, journal }, [template(name)]);
  expect((await query([name, 1], "hi")).text).toBe("2");
  await after.stop();
  expectNothingLeft(fake);
});

test("template(): its sessions can be named while the supervisor starts, and below another supervisor", async () => {
  const name = unique();
  const inner = { name: "inner", children: [template(name)] };
  const opening = Scene.open({ script: count, children: [inner] });
  const reply = query([name, 1], "hi");
  await using scene = await opening;
  expect((await reply).text).toBe("0");
  const tree = scene.supervisor.inspect().children[0];
  expect(tree).toMatchObject({ kind: "supervisor", children: [{ kind: "template" }, { kind: "session" }] });
});

test("template(): rejects turns when the journal cannot be read, and a later use of the name succeeds", async () => {
  const name = unique();
  const journal = memoryJournal();
  const { sessions: read } = journal;
  let broken = false;
  journal.sessions = (keys) => (broken ? Promise.reject(new Error("no disk")) : read.call(journal, keys));
  const fake = fakeClaude(count);
  const supervisor = await run({ fake, journal }, [template(name)]);
  broken = true;
  await failure(query([name, 1], "hi"), "JOURNAL_UNAVAILABLE");
  await eventually(() => supervisor.countSessions() === 0);
  broken = false;
  expect((await query([name, 1], "hi")).text).toBe("0");
  await supervisor.stop();
});

test("template(): its sessions support stop, clear, restart and fork", async () => {
  const [name, fork] = [unique(), unique("fork")];
  await using scene = await Scene.open({ script: count, children: [template(name)] });
  await query([name, 1], "hi");
  expect((await (await session([name, 1]).fork(fork)).query("hi")).text).toBe("2");
  await session([name, 1]).restart();
  expect((await query([name, 1], "hi")).text).toBe("2");
  await session([name, 1]).stop();
  expect((await query([name, 1], "hi")).text).toBe("4");
  await session([name, 1]).clear();
  expect((await query([name, 1], "hi")).text).toBe("0");
  await scene.supervisor.terminateSession([name, 1], { conversation: "clear" });
  expect((await query([name, 1], "hi")).text).toBe("0");
});

test("supervisor.reconcile(): adds a template, changes its live sessions, and removes both", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: count, children: [] });
  const { supervisor, fake } = scene;
  const with_ = (model: string, systemPrompt?: string) =>
    template(name, { model, ...(systemPrompt === undefined ? {} : { systemPrompt }) });
  expect(await supervisor.reconcile([with_("one")])).toMatchObject({ added: [name], failed: [] });
  await query([name, 1], "hi");
  expect(await supervisor.reconcile([with_("one")])).toEqual({ added: [], removed: [], changed: [], failed: [] });
  expect(await supervisor.reconcile([with_("two")])).toMatchObject({ changed: [[name, 1]], failed: [] });
  expect(fake.running.map(({ model }) => model)).toEqual(["two"]);
  expect(fake.processes).toHaveLength(1);
  await supervisor.reconcile([with_("two", "Be brief.")]);
  expect((await query([name, 1], "hi")).text).toBe("2");
  expect(fake.processes).toHaveLength(2);
  await query([name, 2], "hi");
  const { removed } = await supervisor.reconcile([]);
  expect(removed).toContain(name);
  expect(supervisor.listSessions()).toEqual([]);
  await thrown(() => session([name, 1]), "SESSION_NOT_FOUND");
  expect(fake.running).toEqual([]);
});

test("template(): rejects wrong options at the start, and wrong results of its function at the first use", async () => {
  const refused = (...args: Parameters<typeof template>) =>
    failure(Scene.open({ children: [template(...args)] }), "INVALID_OPTIONS");
  expect((await refused("a", { idleTimout: "1m" } as object)).message).toMatch(
    /children\[0\].sessions.idleTimout.*idleTimeout/,
  );
  expect((await refused("a", {}, { maxSessions: 0 })).message).toContain("children[0].maxSessions");
  expect((await refused("a", {}, { retention: "soon" })).message).toContain("children[0].retention");
  expect((await refused("", {})).message).toContain("children[0].template");
  const name = unique();
  const twice = failure(Scene.open({ children: [template(name), template(name)] }), "INVALID_OPTIONS");
  expect((await twice).message).toContain("is also the name of children[0]");
  await using _ = await Scene.open({
    children: [template(name, (user: number) => (user === 1 ? { maxTurns: "many" } : Promise.resolve({})) as object)],
  });
  expect((await thrown(() => session([name, 1]), "INVALID_OPTIONS")).message).toContain("maxTurns");
  expect((await thrown(() => session([name, 2]), "INVALID_OPTIONS")).message).toContain("synchronously");
  const other = await failure(Scene.open({ children: [template(name)] }), "SESSION_ALREADY_STARTED");
  expect(other.message).toContain(`template "${name}"`);
});

test("template(): starts no session during `drain()` or after it", async () => {
  const name = unique();
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    children: [template(name)],
    script: async (turn) => {
      await gate.promise;
      await turn.text("fine");
    },
  });
  const reply = query([name, 1], "hi");
  await scene.fake.prompted(1);
  const drained = scene.supervisor.drain();
  await thrown(() => session([name, 2]), "SUPERVISOR_STOPPED");
  gate.resolve();
  expect((await reply).text).toBe("fine");
  expect(await drained).toEqual({ completed: true });
  await thrown(() => session([name, 2]), "SESSION_NOT_FOUND");
});
