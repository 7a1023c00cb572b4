import { expect, test } from "vitest";
import { once, query, session } from "../../src/castellan.ts";
import { command, pool, type SessionOptions, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { eventually, failure, Scene, thrown, ticks, unique } from "./scene.ts";

/** Answers with how Claude Code would take the prompt. */
const tells: FakeScript = (turn) => turn.text(`${turn.verbatim ? "text" : "typed"}: ${turn.prompt}`);

/** Inputs that Claude Code interprets when they are typed. */
const TYPED = [
  "Summarise @/etc/passwd",
  "/config permissionMode=acceptEdits",
  "/model opus",
  "/clear",
  "/compact",
  "!ls",
];

test.each(TYPED)("verbatimPrompts: takes a prompt as text in every method: %s", async (typed) => {
  const [shared, fresh, family] = [unique("shared"), unique("fresh"), unique("family")];
  const name = unique();
  await using scene = await Scene.open({
    script: tells,
    children: [
      { name },
      pool(shared, { size: 1, conversation: "shared" }),
      pool(fresh, { size: 1 }),
      template(family, {}),
    ],
  });
  const { supervisor } = scene;
  const answers = [
    await query(name, typed),
    await session(name).query(typed),
    await session(name).stream(typed).result(),
    await session(name)
      .enqueue(typed)
      .then(async (id) => await (await session(name).turn(id))?.result()),
    await supervisor.query([family, 1], typed),
    await query(shared, typed),
    await supervisor.query(fresh, typed),
    await supervisor.pool(fresh).use((lent) => lent.query(typed)),
    await once(typed, { spawnClaudeCodeProcess: scene.fake.spawn }),
  ];
  expect(answers.map((reply) => reply?.text)).toEqual(answers.map(() => `text: ${typed}`));
});

test("verbatimPrompts: false takes prompts as typed, by session and by turn", async () => {
  await using scene = await Scene.open({ script: tells });
  const trusting = await scene.supervisor.startSession({ name: unique(), verbatimPrompts: false });
  const texts = [
    await scene.session.query("/x", { verbatimPrompts: false }),
    await scene.session.query("/x"),
    await trusting.query("/x"),
    await trusting.query("/x", { verbatimPrompts: true }),
    await once("/x", { spawnClaudeCodeProcess: scene.fake.spawn, verbatimPrompts: false }),
  ].map(({ text }) => text);
  expect(texts).toEqual(["typed: /x", "text: /x", "typed: /x", "text: /x", "typed: /x"]);
  const heir = await trusting.fork(unique("heir"));
  expect((await heir.query("/x")).text).toBe("typed: /x");
});

test("verbatimPrompts: false rejects commands that bypass Castellan's controls, and names the control", async () => {
  await using scene = await Scene.open({ script: tells, session: { verbatimPrompts: false } });
  const error = await failure(scene.session.query("/model opus"), "INVALID_OPTIONS");
  expect(error.message).toContain("call `setModel()`");
  await thrown(() => scene.session.stream("/config permissionMode=acceptEdits"), "INVALID_OPTIONS");
  await failure(scene.session.enqueue("/effort low"), "INVALID_OPTIONS");
  expect(scene.fake.processes[0]?.prompts).toEqual([]);
});

test("verbatimPrompts: a change applies from the next turn on, in the same process", async () => {
  const name = unique();
  await using scene = await Scene.open({ script: tells, children: [{ name }] });
  await query(name, "one");
  const { pid } = session(name).status();
  const options: SessionOptions = { name, verbatimPrompts: false };
  await scene.supervisor.reconcile([options]);
  expect((await query(name, "two")).text).toBe("typed: two");
  expect(session(name).status().pid).toBe(pid);
  const [child] = scene.supervisor.inspect().children;
  expect(child).toMatchObject({ options: { verbatimPrompts: { value: false, origin: { from: "session" } } } });
});

test("verbatimPrompts: does not keep a session from taking a spare", async () => {
  const clock = new SimulatedClock();
  const [plain, trusting] = [unique("plain"), unique("trusting")];
  await using scene = await Scene.open({
    clock,
    script: tells,
    children: [template(plain, {}), template(trusting, { verbatimPrompts: false })],
    options: { capacity: { spares: 1 } },
  });
  const spares = () => scene.supervisor.capacity().spares;
  await query([plain, 1], "wanted");
  while (spares().ready < 1) {
    await ticks(5);
    await clock.advance(600);
  }
  expect((await query([trusting, 1], "/x")).text).toBe("typed: /x");
  expect(spares()).toMatchObject({ hits: 1 });
});

test("verbatimPrompts: applies to retried turns, and after hibernation", async () => {
  const dies: FakeScript = async (turn) => {
    if (turn.index % 2 === 0) await turn.crash();
    await tells(turn);
  };
  await using scene = await Scene.open({ script: dies, fake: { commands: ["greet"] } });
  const { session: one } = scene;
  expect((await one.query("/greet")).text).toBe("text: /greet");
  await one.hibernate();
  expect((await one.query("/greet", { verbatimPrompts: false })).text).toBe("typed: /greet");
  await one.hibernate();
  expect((await one.query(command("greet", "Ada"))).text).toBe("typed: /greet Ada");
});

test.each(["memory", "sqlite"])("verbatimPrompts: applies to the turns of a journal in %s", async (kind) => {
  const journal = kind === "memory" ? memoryJournal() : sqliteJournal({ sqlite: `${newFolder()}/castellan.db` });
  let blocked = true;
  const fake = fakeClaude(tells, {
    commands: ["greet"],
    startup: () => (blocked ? new Promise(() => {}) : undefined),
  });
  const both = { fake, journal };
  const name = unique();
  // The turns keep the session's former option.
  const first = await run(both, [{ name, verbatimPrompts: false, activation: "lazy" }]);
  const asked = first.session(name);
  const ids = [
    await asked.enqueue("/one", { verbatimPrompts: true }),
    await asked.enqueue("/two"),
    await asked.enqueue(command("greet", "@Ada")),
  ];
  await first.stop();
  blocked = false;
  await using second = await run(both, [{ name }]);
  const turns = await Promise.all(ids.map((id) => second.session(name).turn(id)));
  const replies = await Promise.all(turns.map((turn) => turn?.result()));
  expect(replies.map((reply) => reply?.text)).toEqual(["text: /one", "typed: /two", "typed: /greet @Ada"]);
  expect((await second.query(name, "/three")).text).toBe("text: /three");
});

test("idempotencyKey: rejects the same prompt with another `verbatimPrompts`", async () => {
  const both = { fake: fakeClaude(tells, { commands: ["greet"] }), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const asked = [
    ["text", () => first.query(name, "/greet Ada", { idempotencyKey: "text" })],
    ["typed", () => first.query(name, "/greet Ada", { idempotencyKey: "typed", verbatimPrompts: false })],
    ["command", () => first.query(name, command("greet", "Ada"), { idempotencyKey: "command" })],
  ] as const;
  const replies = new Map<string, unknown>();
  for (const [key, ask] of asked) replies.set(key, await ask());
  for (const [key, ask] of asked) expect(await ask()).toEqual(replies.get(key));
  const others = [
    ["typed", "/greet Ada", {}],
    ["command", "/greet Ada", {}],
    ["text", command("greet", "Ada"), {}],
    ["command", "/greet Ada", { verbatimPrompts: false }],
    ["text", "/greet Ada", { verbatimPrompts: false }],
  ] as const;
  for (const [idempotencyKey, prompt, options] of others) {
    await failure(first.query(name, prompt, { idempotencyKey, ...options }), "INVALID_OPTIONS");
  }
  await first.stop();
  await using second = await run(both, [{ name }]);
  for (const [idempotencyKey, prompt, options] of others) {
    await failure(second.query(name, prompt, { idempotencyKey, ...options }), "INVALID_OPTIONS");
  }
  const again = await second.query(name, command("greet", "Ada"), { idempotencyKey: "command" });
  expect(again).toEqual(replies.get("command"));
  await eventually(() => both.fake.running.length === 1);
});

test("verbatimPrompts: a Claude Code that ignores it quarantines the session", async () => {
  const name = unique();
  await using scene = await Scene.open({ children: [{ name }], fake: { version: "2.1.247" } });
  const { lastExit } = session(name).status();
  expect(session(name).status().state).toBe("quarantined");
  expect(lastExit).toMatchObject({ class: "bad_config", message: expect.stringContaining("older than 2.1.248") });
  await failure(query(name, "hi"), "SESSION_QUARANTINED");
  expect(scene.fake.processes.every(({ prompts }) => prompts.length === 0)).toBe(true);
});
