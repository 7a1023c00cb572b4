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

/** The process of a session. */
function processOf(scene: Scene, name: string) {
  const { pid } = session(name).status();
  return scene.fake.processes.find((process) => process.pid === pid);
}

test("what is new is started, what is missing is ended, and nobody else notices", async () => {
  const [kept, gone, added] = [unique("kept"), unique("gone"), unique("added")];
  const hooks = { Stop: [{ hooks: [async () => ({})] }] };
  await using scene = await Scene.open({ script: remember, children: [{ name: kept, hooks }, { name: gone }] });
  await query(kept, "one");
  const { pid, starts } = session(kept).status();
  const waiting = failure(session(gone).query("hi"), "SESSION_STOPPED").catch(() => "answered");

  const report = await scene.supervisor.reconcile([{ name: added }, { name: kept, hooks: { ...hooks } }]);

  expect(report).toEqual({ ...NOTHING, added: [added], removed: [gone] });
  await waiting;
  expect(session(kept).status()).toMatchObject({ pid, starts, state: "idle" });
  expect((await query(kept, "two")).text).toBe("2");
  expect((await query(added, "one")).text).toBe("0");
  await thrown(() => session(gone), "SESSION_NOT_FOUND");
  expect(scene.fake.running).toHaveLength(2);
  expect(scene.supervisor.whichChildren().map(({ id }) => id)).toEqual([kept, added]);
});

test("the same children change nothing, however often, also after they have been changed", async () => {
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

test.each(LIVE)("a change of %s takes effect at once, in the same process", async (_, fields, shows) => {
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

test("a live change holds for later processes too, and reaches one that is just coming up", async () => {
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

test("a change that needs another process waits for the turn that runs, and keeps conversation and mailbox", async () => {
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

test("a turn whose process dies while a change waits for it runs with the changed options", async () => {
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
  ["shutdown of a temporary one", { restart: "temporary" }, { restart: "temporary", shutdown: "1s" }],
  ["restart of a temporary one", { restart: "temporary" }, {}],
  ["restart, to temporary", {}, { restart: "temporary" }],
])("a change of %s makes another child of the tree with the same conversation", async (_, before, after) => {
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

test("another conversation to begin with makes another session", async () => {
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

test("another controller is another session, which it ends", async () => {
  const [before, after] = [new AbortController(), new AbortController()];
  await using scene = await Scene.open({ session: { abortController: before } });
  await scene.supervisor.reconcile([{ name: scene.name, abortController: after }]);
  before.abort();
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  after.abort();
  await eventually(() => scene.supervisor.countSessions() === 0);
});

test.each<[string, Fields]>([
  ["one that shapes the process", { env: { MENDED: "1" } }],
  ["one that a process takes up live", { model: "claude-mended" }],
])("a changed option lifts a quarantine: %s", async (_, mended) => {
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

test("a changed session that does not come up is reported with its reason, and the others are seen to", async () => {
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
  // The one that there was is kept, quarantined; the new one has been removed again.
  expect(session(bad).status().state).toBe("quarantined");
  await thrown(() => session(fresh), "SESSION_NOT_FOUND");
  const again = await scene.supervisor.reconcile([{ name: bad }, { name: good, timeout: "1m" }, { name: fresh }]);
  expect(again).toEqual({ ...NOTHING, changed: [bad], added: [fresh] });
});

test("children that are wrong change nothing, and all that is wrong is said", async () => {
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

test("two at once are carried out one after the other", async () => {
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

test("one that a stop meets ends with that, and leaves nothing behind", async () => {
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

test("one that a drain meets adds nothing more", async () => {
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

test("a worker is the same as long as its `start` is", async () => {
  const [one, two] = [new Service("db"), new Service("db")];
  await using scene = await Scene.open({ children: [one.child()] });
  expect(await scene.supervisor.reconcile([{ ...one.child() }])).toEqual(NOTHING);
  expect(one.diary).toEqual(["db started"]);
  expect(await scene.supervisor.reconcile([two.child()])).toEqual({ ...NOTHING, removed: ["db"], added: ["db"] });
  expect([one.diary, two.diary]).toEqual([["db started", "db stopped"], ["db started"]]);
  const keeping = { shutdown: "1s" } as const;
  expect((await scene.supervisor.reconcile([two.child(keeping)])).added).toEqual(["db"]);
  expect(await scene.supervisor.reconcile([two.child({ shutdown: 1_000 })])).toEqual(NOTHING);
});

test("a temporary worker that has ended is started again if it is still wanted", async () => {
  const service = new Service("job");
  const wanted = [service.child({ restart: "temporary" })];
  await using scene = await Scene.open({ children: wanted });
  service.exit({ reason: "normal" });
  await eventually(() => scene.supervisor.whichChildren().length === 0);
  expect((await scene.supervisor.reconcile(wanted)).added).toEqual(["job"]);
  expect(service.starts).toBe(2);
});

test("a worker that does not come up is reported, and its id is free", async () => {
  const service = new Service("db");
  service.failures.push(new Error("no route"));
  await using scene = await Scene.open({ children: [] });
  const { failed } = await scene.supervisor.reconcile([service.child()]);
  expect(failed.map(({ name, error }) => [name, error.code])).toEqual([["db", "CHILD_START_FAILED"]]);
  expect((await scene.supervisor.reconcile([service.child()])).added).toEqual(["db"]);
});

test("in a supervisor below only what has changed is touched", async () => {
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
  // It belongs to the tree below like any other.
  await scene.supervisor.terminateChild("inner");
  await failure(query(name("added"), "hi"), "SESSION_STOPPED");
  await scene.supervisor.restartChild("inner");
  expect((await query(name("added"), "hi")).text).toBe("0");
});

test("a supervisor that is kept in another way is another one, and its sessions come up again", async () => {
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

test.each(["down", "up"] as const)("a session moves %s a level, whichever comes first in the list", async (way) => {
  const name = unique("moving");
  const high: ChildOptions[] = [{ name }, { name: "inner", children: [] }];
  const low: ChildOptions[] = [{ name: "inner", children: [{ name }] }];
  const [from, to] = way === "down" ? [high, low] : [low, high];
  await using scene = await Scene.open({ children: from });
  expect(await scene.supervisor.reconcile(to)).toEqual({ ...NOTHING, removed: [name], added: [name] });
  expect((await query(name, "hi")).text).toBe("You said: hi");
  expect(scene.fake.running).toHaveLength(1);
});

test("defaults that change are changes of the sessions that they are for", async () => {
  const [own, inherits] = [unique("own"), unique("inherits")];
  const children = [{ name: own, model: "claude-own" }, { name: inherits }];
  await using scene = await Scene.open({ children: [{ name: "inner", defaults: { model: "claude-one" }, children }] });
  const report = await scene.supervisor.reconcile([{ name: "inner", defaults: { model: "claude-two" }, children }]);
  expect(report).toEqual({ ...NOTHING, changed: [inherits] });
  expect(processOf(scene, inherits)?.model).toBe("claude-two");
  expect(processOf(scene, own)?.model).toBe("claude-own");
});

test("a changed option lifts the quarantine of a session whose supervisor has been quarantined", async () => {
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

test("what only one session can use goes with the options, and is refused while another one has it", async () => {
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

test("`maxChildren` holds, and removals make room", async () => {
  const [a, b, c] = [unique("a"), unique("b"), unique("c")];
  await using scene = await Scene.open({ children: [{ name: a }], options: { maxChildren: 1 } });
  expect(await scene.supervisor.reconcile([{ name: b }])).toEqual({ ...NOTHING, removed: [a], added: [b] });
  const { failed } = await scene.supervisor.reconcile([{ name: b }, { name: c }]);
  expect(failed.map(({ name, error }) => [name, error.code])).toEqual([[c, "MAX_CHILDREN"]]);
  await thrown(() => session(c), "SESSION_NOT_FOUND");
});
