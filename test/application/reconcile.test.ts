import { randomUUID } from "node:crypto";
import { createSdkMcpServer } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import type { ChildOptions } from "../../src/application/options/child-options.ts";
import { query, session, stream } from "../../src/castellan.ts";
import type { SessionOptions } from "../../src/session/options/options.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, ticks, unique } from "../session-on-fake/scene.ts";
import { Service } from "./service.ts";

type Fields = Omit<SessionOptions, "name">;

const remember: FakeScript = (turn) => turn.text(`${turn.history.length}`);

const NOTHING = { added: [], removed: [], changed: [], failed: [] };

/** Returns the process of a session. */
function processOf(scene: Scene, name: string) {
  const { pid } = session(name).status();
  return scene.fake.processes.find((process) => process.pid === pid);
}

test("supervisor.reconcile(): starts new children, stops missing ones, and leaves the others alone", async () => {
  const [kept, gone, added] = [unique("kept"), unique("gone"), unique("added")];
  const hooks = { Stop: [{ hooks: [async () => ({})] }] };
  await using scene = await Scene.open({ script: remember, children: [{ name: kept, hooks }, { name: gone }] });
  await query(kept, "one");
  const { pid, starts } = session(kept).status();
  const asked = session(gone)
    .query("hi")
    .then(
      ({ text }) => text,
      ({ code }: { code: string }) => code,
    );

  const report = await scene.supervisor.reconcile([{ name: added }, { name: kept, hooks: { ...hooks } }]);

  expect(report).toEqual({ ...NOTHING, added: [added], removed: [gone] });
  expect(["0", "SESSION_STOPPED"]).toContain(await asked);
  expect(session(kept).status()).toMatchObject({ pid, starts, state: "idle" });
  expect((await query(kept, "two")).text).toBe("2");
  expect((await query(added, "one")).text).toBe("0");
  await thrown(() => session(gone), "SESSION_NOT_FOUND");
  expect(scene.fake.running).toHaveLength(2);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual([kept, added]);
});

test("supervisor.reconcile(): changes nothing for equal children, however often", async () => {
  const [one, two, service] = [unique("one"), unique("two"), new Service("db")];
  const wanted = (): ChildOptions[] => [
    { name: one, env: { A: "1" } },
    service.child(),
    { name: "inner", maxRestarts: 5, children: [{ name: two, systemPrompt: "Be kind." }] },
  ];
  await using scene = await Scene.open({ children: [{ name: "inner", maxRestarts: 5, children: [] }] });
  expect(await scene.supervisor.reconcile(wanted())).toEqual({ ...NOTHING, added: [one, "db", two] });
  const { processes } = scene.fake;
  for (let n = 0; n < 3; n++) expect(await scene.supervisor.reconcile(wanted())).toEqual(NOTHING);
  expect(processes).toHaveLength(2);
  expect(service.starts).toBe(1);
  expect(await scene.supervisor.reconcile([])).toEqual({ ...NOTHING, removed: ["db", one, "inner"] });
  expect(scene.supervisor.countSessions()).toBe(0);
  await thrown(() => session(two), "SESSION_NOT_FOUND");
});

const LIVE: [string, Fields, (scene: Scene) => Promise<void>][] = [
  [
    "timeout",
    { timeout: 0 },
    async ({ name }) => expect((await failure(query(name, "hang"), "TURN_TIMEOUT")).details.timeoutMs).toBe(0),
  ],
  [
    "mailboxLimit",
    { mailboxLimit: 0 },
    async (scene) => {
      const running = stream(scene.name, "hang");
      await scene.fake.prompted(1);
      const { details } = await failure(query(scene.name, "one too many"), "MAILBOX_FULL");
      expect(details.limit).toBe(0);
      await running.interrupt();
      await failure(running.result(), "TURN_INTERRUPTED");
    },
  ],
  ["model", { model: "claude-other" }, async (scene) => expect(scene.fake.processes[0]?.model).toBe("claude-other")],
  [
    "permissionMode",
    { permissionMode: "acceptEdits" },
    async (scene) => expect(scene.fake.processes[0]?.permissionMode).toBe("acceptEdits"),
  ],
];

test.each(LIVE)("supervisor.reconcile(): applies a changed %s live", async (_, fields, shows) => {
  const before: Fields = { model: "claude-one", permissionMode: "plan" };
  await using scene = await Scene.open({
    session: before,
    script: (turn) => (turn.prompt === "hang" ? turn.hang() : turn.text("fine")),
  });
  const { pid } = scene.session.status();
  const report = await scene.supervisor.reconcile([{ name: scene.name, ...before, ...fields }]);
  expect(report).toEqual({ ...NOTHING, changed: [scene.name] });
  await shows(scene);
  expect(scene.session.status()).toMatchObject({ pid, starts: 1 });
});

test("supervisor.reconcile(): a live change applies to a starting process and to later ones", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    session: { model: "claude-one" },
    fake: { startup: (_, n) => (n === 2 ? gate.promise : undefined) },
  });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.fake.processes.length === 2);
  const reconciled = scene.supervisor.reconcile([{ name: scene.name, model: "claude-two" }]);
  await ticks(3);
  gate.resolve();
  expect((await reconciled).changed).toEqual([scene.name]);
  expect(scene.fake.processes[1]?.model).toBe("claude-two");
  scene.fake.processes[1]?.crash();
  await scene.fake.started(3);
  expect(scene.fake.processes[2]?.model).toBe("claude-two");
});

test("supervisor.reconcile(): replaces a process after the running turn, and keeps conversation and mailbox", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "slow") await gate.promise;
      await turn.text(`${turn.prompt} after ${turn.history.length}`);
    },
  });
  await query(scene.name, "first");
  const { conversationId } = scene.session.status();
  const replies = ["slow", "next", "last"].map((prompt) => query(scene.name, prompt));
  await scene.fake.prompted(2);
  const reconciled = scene.supervisor.reconcile([{ name: scene.name, systemPrompt: "Be brief." }]);
  await ticks(5);
  expect(scene.fake.processes).toHaveLength(1);
  expect(scene.session.status()).toMatchObject({ state: "busy", mailbox: 2 });
  gate.resolve();
  expect(await reconciled).toEqual({ ...NOTHING, changed: [scene.name] });
  const texts = (await Promise.all(replies)).map(({ text }) => text);
  expect(texts).toEqual(["slow after 2", "next after 4", "last after 6"]);
  const [old, fresh] = scene.fake.processes;
  expect(old?.prompts).toEqual(["first", "slow"]);
  expect(fresh?.prompts).toEqual(["next", "last"]);
  expect(JSON.stringify(fresh?.initialize)).toContain("Be brief.");
  expect(scene.session.status()).toMatchObject({ conversationId, starts: 2, restarts: 0 });
});

test("supervisor.reconcile(): a turn whose process dies before the replacement runs with the new options", async () => {
  await using scene = await Scene.open({
    script: (turn) => (turn.index === 0 ? turn.hang() : turn.text(turn.process.env["MOOD"] ?? "none")),
  });
  const reply = query(scene.name, "hi");
  await scene.fake.prompted(1);
  const reconciled = scene.supervisor.reconcile([{ name: scene.name, env: { MOOD: "good" } }]);
  await ticks(2);
  scene.fake.processes[0]?.crash();
  expect((await reply).text).toBe("good");
  expect((await reconciled).changed).toEqual([scene.name]);
});

test.each<[string, Fields, Fields]>([
  ["restart", {}, { restart: "transient" }],
  ["shutdown", {}, { shutdown: "brutal_kill" }],
  ["shutdown of a temporary session", { restart: "temporary" }, { restart: "temporary", shutdown: "1s" }],
  ["restart of a temporary session", { restart: "temporary" }, {}],
  ["restart, to temporary", {}, { restart: "temporary" }],
])("supervisor.reconcile(): a changed %s replaces the child, and keeps the conversation", async (_, before, after) => {
  await using scene = await Scene.open({ script: remember, session: before });
  await query(scene.name, "one");
  const handle = scene.session;
  const report = await scene.supervisor.reconcile([{ name: scene.name, ...after }]);
  expect(report).toEqual({ ...NOTHING, changed: [scene.name] });
  expect((await handle.query("two")).text).toBe("2");
  expect(session(scene.name)).toBe(handle);

  const signals = after.shutdown === "brutal_kill" ? ["SIGKILL"] : [];
  const [, second] = scene.fake.processes;
  if (after.restart === "temporary") {
    second?.crash();
    await eventually(() => scene.supervisor.countSessions() === 0);
  } else {
    await scene.supervisor.stop();
    expect(second?.signals).toEqual(signals);
  }
});

test("supervisor.reconcile(): another `sessionId` replaces the session", async () => {
  const [first, second] = [randomUUID(), randomUUID()];
  await using scene = await Scene.open({ session: { sessionId: first } });
  const handle = scene.session;
  await query(scene.name, "one");
  const report = await scene.supervisor.reconcile([{ name: scene.name, sessionId: second }]);
  expect(report).toEqual({ ...NOTHING, added: [scene.name], removed: [scene.name] });
  expect((await query(scene.name, "two")).sessionId).toBe(second);
  expect(scene.transcript()).toEqual(["user: two", "assistant: You said: two"]);
  await failure(handle.query("hi"), "SESSION_STOPPED");
});

test("supervisor.reconcile(): another `abortController` replaces the session, which it then stops", async () => {
  const [before, after] = [new AbortController(), new AbortController()];
  await using scene = await Scene.open({ session: { abortController: before } });
  await scene.supervisor.reconcile([{ name: scene.name, abortController: after }]);
  before.abort();
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  after.abort();
  await eventually(() => scene.supervisor.countSessions() === 0);
});

test.each<[string, Fields]>([
  ["an option of the process", { env: { MENDED: "1" } }],
  ["a live option", { model: "claude-mended" }],
])("supervisor.reconcile(): a changed option lifts a quarantine: %s", async (_, mended) => {
  await using scene = await Scene.open({
    script: remember,
    fake: {
      startup: (process, n) => {
        const broken = process.env["MENDED"] === undefined && process.model !== "claude-mended";
        if (n > 1 && broken) process.crash({ stderr: "broken" });
      },
    },
  });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state === "quarantined");
  expect(await scene.supervisor.reconcile([{ name: scene.name }])).toEqual(NOTHING);
  const report = await scene.supervisor.reconcile([{ name: scene.name, ...mended }]);
  expect(report).toEqual({ ...NOTHING, changed: [scene.name] });
  expect((await query(scene.name, "two")).text).toBe("2");
});

test("supervisor.reconcile(): reports a session that fails to start, and applies the other changes", async () => {
  const [bad, good, fresh] = [unique("bad"), unique("good"), unique("fresh")];
  await using scene = await Scene.open({
    children: [{ name: bad }, { name: good }],
    fake: {
      startup: (process) => (process.env["BROKEN"] === "1" ? process.crash({ stderr: "no such thing" }) : undefined),
    },
  });
  const broken = { env: { BROKEN: "1" } };
  const { failed, ...rest } = await scene.supervisor.reconcile([
    { name: bad, ...broken },
    { name: good, timeout: "1m" },
    { name: fresh, ...broken },
  ]);
  expect(rest).toEqual({ added: [], removed: [], changed: [good] });
  expect(failed.map(({ name, error }) => [name, error.code])).toEqual([
    [bad, "SESSION_QUARANTINED"],
    [fresh, "SESSION_QUARANTINED"],
  ]);
  expect(failed[0]?.error.message).toContain("no such thing");
  expect((await query(good, "hi")).text).toBe("You said: hi");
  // The changed session stays, quarantined; the new one is removed.
  expect(session(bad).status().state).toBe("quarantined");
  await thrown(() => session(fresh), "SESSION_NOT_FOUND");
  const again = await scene.supervisor.reconcile([{ name: bad }, { name: good, timeout: "1m" }, { name: fresh }]);
  expect(again).toEqual({ ...NOTHING, changed: [bad], added: [fresh] });
});

test("supervisor.reconcile(): rejects wrong children with all problems, and changes nothing", async () => {
  const [kept, gone] = [unique("kept"), unique("gone")];
  await using scene = await Scene.open({ children: [{ name: kept }, { name: gone }] });
  const wrong = [
    { name: kept, maxTurns: 0 },
    { name: "inner", children: [{ name: kept }] },
    { id: "db", start: 1 },
  ];
  const error = await failure(scene.supervisor.reconcile(wrong as ChildOptions[]), "INVALID_OPTIONS");
  expect(error.details.problems.map(({ field }) => field)).toEqual(["children[0].maxTurns", "children[2].start"]);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual([kept, gone]);
  for (const name of [kept, gone]) expect(session(name).status()).toMatchObject({ state: "idle", starts: 1 });
});

test("supervisor.reconcile(): runs concurrent calls one after another", async () => {
  const [a, b, c] = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({ children: [{ name: a }] });
  const [first, second] = await Promise.all([
    scene.supervisor.reconcile([{ name: a, env: { N: "1" } }, { name: b }]),
    scene.supervisor.reconcile([{ name: b }, { name: c }]),
  ]);
  expect(first).toEqual({ ...NOTHING, changed: [a], added: [b] });
  expect(second).toEqual({ ...NOTHING, removed: [a], added: [c] });
  expect(scene.fake.running).toHaveLength(2);
});

test("supervisor.reconcile(): rejects with SUPERVISOR_STOPPED on stop(), and leaves nothing behind", async () => {
  const gate = Promise.withResolvers<void>();
  const [a, late] = [unique("a"), unique("late")];
  await using scene = await Scene.open({
    children: [{ name: a }],
    fake: { startup: (_, n) => (n > 1 ? gate.promise : undefined) },
  });
  const reconciling = failure(
    scene.supervisor.reconcile([{ name: late }, { name: a, env: { N: "1" } }]),
    "SUPERVISOR_STOPPED",
  );
  await eventually(() => scene.fake.processes.length === 2);
  const waiting = failure(scene.supervisor.reconcile([{ name: a }]), "SUPERVISOR_STOPPED");
  await scene.supervisor.stop();
  await Promise.all([reconciling, waiting]);
  await thrown(() => session(late), "SESSION_NOT_FOUND");
});

test("supervisor.reconcile(): adds nothing during drain()", async () => {
  const gate = Promise.withResolvers<void>();
  const [a, late] = [unique("a"), unique("late")];
  await using scene = await Scene.open({
    children: [{ name: a }],
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
  });
  const reply = query(a, "hi");
  await scene.fake.prompted(1);
  const reconciled = scene.supervisor.reconcile([{ name: a, env: { N: "1" } }, { name: late }]);
  const settled = reconciled.then(
    ({ added }) => added,
    ({ code }: { code: string }) => code,
  );
  await ticks(2);
  const drained = scene.supervisor.drain();
  gate.resolve();
  expect((await reply).text).toBe("done");
  expect(await drained).toEqual({ completed: true });
  expect([[], "SUPERVISOR_STOPPED"]).toContainEqual(await settled);
  await thrown(() => session(late), "SESSION_NOT_FOUND");
});

test("supervisor.reconcile(): replaces a worker when its `start` or its options change", async () => {
  const [one, two] = [new Service("db"), new Service("db")];
  await using scene = await Scene.open({ children: [one.child()] });
  expect(await scene.supervisor.reconcile([{ ...one.child() }])).toEqual(NOTHING);
  expect(one.log).toEqual(["db started"]);
  expect(await scene.supervisor.reconcile([two.child()])).toEqual({ ...NOTHING, removed: ["db"], added: ["db"] });
  expect([one.log, two.log]).toEqual([["db started", "db stopped"], ["db started"]]);
  const keeping = { shutdown: "1s" } as const;
  expect((await scene.supervisor.reconcile([two.child(keeping)])).added).toEqual(["db"]);
  expect(await scene.supervisor.reconcile([two.child({ shutdown: 1_000 })])).toEqual(NOTHING);
});

test("supervisor.reconcile(): starts a temporary worker that has ended again", async () => {
  const service = new Service("job");
  const wanted = [service.child({ restart: "temporary" })];
  await using scene = await Scene.open({ children: wanted });
  service.exit({ reason: "normal" });
  await eventually(() => scene.supervisor.whichChildren().length === 0);
  expect((await scene.supervisor.reconcile(wanted)).added).toEqual(["job"]);
  expect(service.starts).toBe(2);
});

test("supervisor.reconcile(): reports a worker that fails to start, and frees its id", async () => {
  const service = new Service("db");
  service.failures.push(new Error("no route"));
  await using scene = await Scene.open({ children: [] });
  const { failed } = await scene.supervisor.reconcile([service.child()]);
  expect(failed.map(({ name, error }) => [name, error.code])).toEqual([["db", "CHILD_START_FAILED"]]);
  expect((await scene.supervisor.reconcile([service.child()])).added).toEqual(["db"]);
});

test("supervisor.reconcile(): changes only the children that differ in a nested supervisor", async () => {
  const [above, same, changed, gone, added] = ["above", "same", "changed", "gone", "added"].map(unique);
  const names = { above, same, changed, gone, added };
  const name = (which: keyof typeof names): string => names[which] ?? "";
  await using scene = await Scene.open({
    script: remember,
    children: [
      { name: name("above") },
      {
        name: "inner",
        children: [
          { name: name("same") },
          { name: "deeper", children: [{ name: name("changed") }, { name: name("gone") }] },
        ],
      },
    ],
  });
  for (const which of ["above", "same", "changed"] as const) await query(name(which), "one");
  const report = await scene.supervisor.reconcile([
    { name: name("above") },
    {
      name: "inner",
      children: [
        { name: name("same") },
        { name: "deeper", children: [{ name: name("changed"), maxTurns: 3 }, { name: name("added") }] },
      ],
    },
  ]);
  expect(report).toEqual({ added: [added], removed: [gone], changed: [changed], failed: [] });
  for (const which of ["above", "same", "changed"] as const) expect((await query(name(which), "two")).text).toBe("2");
  expect(session(name("same")).status().starts).toBe(1);
  expect(session(name("changed")).status().starts).toBe(2);
  // The new session belongs to the nested tree.
  await scene.supervisor.terminateChild("inner");
  await failure(query(name("added"), "hi"), "SESSION_STOPPED");
  await scene.supervisor.restartChild("inner");
  expect((await query(name("added"), "hi")).text).toBe("0");
});

test("supervisor.reconcile(): replaces a supervisor with another strategy, and its sessions keep their conversations", async () => {
  const [name, service] = [unique(), new Service("db")];
  await using scene = await Scene.open({
    script: remember,
    children: [{ name: "inner", children: [{ name }, service.child()] }],
  });
  await query(name, "one");
  const report = await scene.supervisor.reconcile([
    { name: "inner", strategy: "one_for_all", children: [{ name }, service.child()] },
  ]);
  expect(report).toEqual({ ...NOTHING, removed: ["inner"], added: ["inner"] });
  expect(service.starts).toBe(2);
  expect((await query(name, "two")).text).toBe("2");
});

test.each(["down", "up"] as const)("supervisor.reconcile(): moves a session %s a level", async (way) => {
  const name = unique("moving");
  const high: ChildOptions[] = [{ name }, { name: "inner", children: [] }];
  const low: ChildOptions[] = [{ name: "inner", children: [{ name }] }];
  const [from, to] = way === "down" ? [high, low] : [low, high];
  await using scene = await Scene.open({ children: from });
  expect(await scene.supervisor.reconcile(to)).toEqual({ ...NOTHING, removed: [name], added: [name] });
  expect((await query(name, "hi")).text).toBe("You said: hi");
  expect(scene.fake.running).toHaveLength(1);
});

test("supervisor.reconcile(): changed defaults change the sessions that inherit them", async () => {
  const [own, inherits] = [unique("own"), unique("inherits")];
  const children = [{ name: own, model: "claude-own" }, { name: inherits }];
  await using scene = await Scene.open({ children: [{ name: "inner", defaults: { model: "claude-one" }, children }] });
  const report = await scene.supervisor.reconcile([{ name: "inner", defaults: { model: "claude-two" }, children }]);
  expect(report).toEqual({ ...NOTHING, changed: [inherits] });
  expect(processOf(scene, inherits)?.model).toBe("claude-two");
  expect(processOf(scene, own)?.model).toBe("claude-own");
});

test("supervisor.reconcile(): a changed option lifts the quarantine of a session and its supervisor", async () => {
  const name = unique();
  const inner = (fields: Fields): ChildOptions => ({
    name: "inner",
    onMaxRestarts: "escalate",
    maxRestarts: 0,
    children: [{ name, ...fields }],
  });
  await using scene = await Scene.open({ script: remember, options: { maxRestarts: 0 }, children: [inner({})] });
  await query(name, "one");
  processOf(scene, name)?.crash();
  await eventually(() => session(name).status().state === "quarantined");
  const report = await scene.supervisor.reconcile([inner({ env: { MENDED: "1" } })]);
  expect(report).toEqual({ ...NOTHING, changed: [name] });
  expect((await query(name, "two")).text).toBe("2");
});

test("supervisor.reconcile(): an in-process MCP server is exclusive, and free once its session has another one", async () => {
  const [a, b] = [unique("a"), unique("b")];
  const [first, second] = ["one", "two"].map((name) => createSdkMcpServer({ name, tools: [] }));
  if (first === undefined || second === undefined) throw new Error("two");
  await using scene = await Scene.open({ children: [{ name: a, mcpServers: { it: first } }, { name: b }] });
  await scene.supervisor.reconcile([{ name: a, mcpServers: { it: second } }, { name: b }]);
  const taken = await scene.supervisor.reconcile([
    { name: a, mcpServers: { it: second } },
    { name: b, mcpServers: { it: second } },
  ]);
  expect(taken.failed.map(({ name, error }) => [name, error.code])).toEqual([[b, "INVALID_OPTIONS"]]);
  expect(session(b).status().starts).toBe(1);
  const free = await scene.supervisor.reconcile([
    { name: a, mcpServers: { it: second } },
    { name: b, mcpServers: { it: first } },
  ]);
  expect(free).toEqual({ ...NOTHING, changed: [b] });
});

test("supervisor.reconcile(): respects `maxChildren` after the removals", async () => {
  const [a, b, c] = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({ children: [{ name: a }], options: { maxChildren: 1 } });
  expect(await scene.supervisor.reconcile([{ name: b }])).toEqual({ ...NOTHING, removed: [a], added: [b] });
  const { failed } = await scene.supervisor.reconcile([{ name: b }, { name: c }]);
  expect(failed.map(({ name, error }) => [name, error.code])).toEqual([[c, "MAX_CHILDREN"]]);
  await thrown(() => session(c), "SESSION_NOT_FOUND");
});
