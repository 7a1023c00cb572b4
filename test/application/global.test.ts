import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { query, session, stream } from "../../src/castellan.ts";
import { ownDirectoryOf } from "../../src/claude/own-directory.ts";
import { type ChildOptions, global, pool, type SessionName, Supervisor, template } from "../../src/index.ts";
import { globalNameOf } from "../../src/session/options/global-name.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

const STORE: SessionStore = { append: async () => {}, load: async () => null };
const SECRET = "a secret of at least thirty-two characters";

describe("global()", () => {
  test.each<[given: unknown, words: string]>([
    ["", "an empty string"],
    [[], "an empty tuple"],
    [[1, "a"], "number 1 where a string is needed"],
    [["a", ["b"]], "a nested tuple"],
    [["a", Number.NaN], "number NaN"],
    [undefined, "nothing"],
    [global("a"), "an object where a string is needed"],
    ["x".repeat(600), "longer than 512"],
  ])("rejects %j as a name", async (given, words) => {
    const error = await thrown(() => global(given as SessionName), "INVALID_OPTIONS");
    expect(error.details.problems).toEqual([{ field: "name", message: expect.stringContaining(words) }]);
  });

  test("accepts every valid plain name", () => {
    for (const name of ["a", ["a"], ["a", 1, "ü"], ["global", "a"]] as const) expect(() => global(name)).not.toThrow();
  });
});

test("globalNameOf(): treats a name as lists show it as the global name", () => {
  expect(globalNameOf(global(["global", "support", 42]))).toEqual(globalNameOf(global(["support", 42])));
  expect(globalNameOf(global("global"))).toEqual(["global", "global"]);
});

describe("Global sessions without a cluster", () => {
  const name = global(["support", 42]);

  test("reject calls with CLUSTER_UNAVAILABLE and the reason", async () => {
    await using scene = await Scene.open();
    const { supervisor } = scene;
    const errors = await Promise.all([
      failure(query(name, "hi"), "CLUSTER_UNAVAILABLE"),
      failure(supervisor.query(name, "hi"), "CLUSTER_UNAVAILABLE"),
      thrown(() => stream(name, "hi"), "CLUSTER_UNAVAILABLE"),
      thrown(() => supervisor.stream(name, "hi"), "CLUSTER_UNAVAILABLE"),
      thrown(() => session(name), "CLUSTER_UNAVAILABLE"),
      thrown(() => supervisor.session(name), "CLUSTER_UNAVAILABLE"),
    ]);
    for (const { message, details } of errors) {
      expect(message).toContain('["global","support",42]: this process is in no cluster');
      expect(details).toEqual({ reason: "no_node" });
    }
    expect(supervisor.cluster).toBeUndefined();
  });

  test.each<[what: string, child: ChildOptions, field: string]>([
    ["session", { name: global("a") }, "children[0].name"],
    ["template", template(global("a")), "children[0].template"],
    ["pool", pool(global("a"), { size: 1 }), "children[0].pool"],
    ["session further down", { name: "inner", children: [{ name: global("a") }] }, "children[0].children[0].name"],
  ])("reject a global %s at the start", async (_, child, field) => {
    const error = await failure(Supervisor.start([child]), "INVALID_OPTIONS");
    expect(error.details.problems).toEqual([{ field, message: expect.stringContaining("option `cluster`") }]);
  });

  test("reject a global name in every later call", async () => {
    await using scene = await Scene.open();
    const { supervisor, name: local } = scene;
    const wrong = [
      supervisor.startSession({ name: global("a") }),
      supervisor.startChild(template(global("a"))),
      supervisor.startChild(pool(global("a"), { size: 1 })),
      supervisor.reconcile([{ name: local }, { name: global("a") }]),
      // @ts-expect-error: the type rejects it, too
      supervisor.session(local).fork(global("a")),
    ];
    for (const call of wrong) await failure(call, "INVALID_OPTIONS");
    expect(supervisor.countSessions()).toBe(1);
  });
});

describe("Global sessions in a cluster", () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await PostgresServer.start();
  });

  afterAll(async () => {
    await server?.remove();
  });

  const cluster = () => ({ ...server.fresh(), secret: SECRET, advertise: "http://127.0.0.1:0", name: "one" });

  test.each<[what: string, children: readonly ChildOptions[], field: string, words: string]>([
    ["two children of one name", [{ name: global("a") }, { name: global("a") }], "children[1].name", "declared twice"],
    [
      "a child with its own session store",
      [{ name: global("a"), sessionStore: STORE }],
      "children[0].sessionStore",
      "database",
    ],
    [
      "a child of a nested supervisor",
      [{ name: "inner", children: [{ name: global("a") }] }],
      "children[0].children[0].name",
      "only a direct child",
    ],
  ])("reject %s before a process starts", async (_, children, field, words) => {
    const error = await failure(Supervisor.start(children, { cluster: cluster() }), "INVALID_OPTIONS");
    expect(error.details.problems).toEqual([{ field, message: expect.stringContaining(words) }]);
  });

  test("are fixed until the node restarts; reconcile() changes local children and the options of later sessions", async () => {
    const fake = fakeClaude();
    const local = unique();
    const children: readonly ChildOptions[] = [
      { name: global("reviewer"), activation: "lazy" },
      template(global("chat"), { maxTurns: 3 }),
    ];
    const supervisor = await Supervisor.start([...children, { name: local }], {
      cluster: cluster(),
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    onTestFinished(() => supervisor.stop());

    const fewer = await failure(supervisor.reconcile([{ name: local }]), "INVALID_OPTIONS");
    expect(fewer.message).toContain("restart the node");
    const more = [...children, { name: global("other") }, { name: local }];
    await failure(supervisor.reconcile(more), "INVALID_OPTIONS");
    await failure(supervisor.startChild(template(global("more"))), "INVALID_OPTIONS");
    const wrong = [{ name: global("reviewer"), maxTurns: -1 }, template(global("chat"))];
    await failure(supervisor.reconcile(wrong), "INVALID_OPTIONS");
    expect(supervisor.countSessions()).toBe(1);

    const added = unique();
    const report = await supervisor.reconcile([...children, { name: added }]);
    expect(report).toMatchObject({ added: [added], removed: [local] });

    // Changed options apply to sessions that start from then on.
    const changed = [{ name: global("reviewer") }, template(global("chat"), { maxTurns: 5 }), { name: added }];
    expect(await supervisor.reconcile(changed)).toMatchObject({ added: [], removed: [], failed: [] });
    const name = global(["chat", 1]);
    expect((await supervisor.query(name, "hi")).text).toBe("You said: hi");
    expect(await supervisor.session(name).inspect()).toMatchObject({ options: { maxTurns: { value: 5 } } });
    // The session has no plain name.
    expect(supervisor.listSessions().map((status) => status.name)).toEqual([added]);
    await failure(supervisor.query(["chat", 1], "hi"), "SESSION_NOT_FOUND");
  });

  test("get a changed key by refreshCredentials(), and after a refusal", async () => {
    const KEY = "CASTELLAN_TEST_ROTATED";
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv(KEY, "first");
    let revoked = "";
    const fake = fakeClaude(async (turn) => {
      const key = turn.process.env["ANTHROPIC_API_KEY"] ?? "";
      if (key === revoked) await turn.fail({ status: 401 });
      else await turn.text(`${turn.history.length} with ${key}`);
    });
    const local = unique();
    const supervisor = await Supervisor.start([template(global("chat")), { name: local }], {
      cluster: cluster(),
      defaults: { spawnClaudeCodeProcess: fake.spawn, apiKey: { env: KEY } },
    });
    onTestFinished(() => supervisor.stop());
    const name = global(["chat", 1]);
    expect((await supervisor.query(name, "one")).text).toBe("0 with first");
    vi.stubEnv(KEY, "second");
    const report = await supervisor.refreshCredentials();
    expect(report).toEqual({ replaced: [local, ["global", "chat", 1]], waiting: [], failed: [], unchanged: 0 });
    expect((await supervisor.query(name, "two")).text).toBe("2 with second");
    vi.stubEnv(KEY, "third");
    revoked = "second";
    expect((await supervisor.query(name, "three")).text).toBe("4 with third");
    expect(fake.processes).toHaveLength(5);
    await supervisor.stop();
    expect(fake.errors).toEqual([]);
  });

  test("have their own directory on their node", async () => {
    const root = await mkdtemp(join(tmpdir(), "castellan-global-"));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    const fake = fakeClaude();
    await using supervisor = await Supervisor.start([template(global("chat"), { isolate: { root } })], {
      cluster: cluster(),
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    for (const key of ["alice", "bob"]) await supervisor.query(global(["chat", key]), "hi");
    const places = ["alice", "bob"].map((key) => ownDirectoryOf(["global", "chat", key], root).path);
    expect(fake.processes.map(({ cwd }) => cwd)).toEqual(places);
  });

  test("are exported and erased by their global name, and the next session of the name starts empty", async () => {
    const fake = fakeClaude((turn) => turn.text(`${turn.history.length / 2} before, and a secret`));
    const place = cluster();
    const supervisor = await Supervisor.start([template(global("chat")), pool(global("many"), { size: 1 })], {
      cluster: place,
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    onTestFinished(() => supervisor.stop());
    const [carol, dave] = [global(["chat", "carol"]), global(["chat", "dave"])];
    const first = await supervisor.query(carol, "a secret");
    await supervisor.session(carol).clear();
    const second = await supervisor.query(carol, "another secret");
    await supervisor.query(dave, "hi");
    const spent = await server.sql(`select sum(cost_usd) as sum from ${place.schema}.spent`);

    const lines = (await Array.fromAsync(supervisor.exportSession(carol))).map((line) => JSON.parse(line));
    const types = lines.map(({ type }) => type).filter((type) => type !== "event");
    expect(types).toEqual(["session", "turn", "turn", "usage"]);
    expect(lines[0]).toMatchObject({ conversations: [first.sessionId, second.sessionId] });
    const cluster1 = supervisor.cluster;
    if (cluster1 === undefined) throw new Error("the supervisor is no node");
    expect(await Array.fromAsync(cluster1.exportSession(carol))).toHaveLength(lines.length);
    const events = await Array.fromAsync(cluster1.session(carol).events({ live: false }));
    expect(events.map(({ number }) => number)).toEqual(events.map((_, index) => index + 1));
    expect(await cluster1.session(carol).pastEvents({ limit: 3 })).toEqual(events.slice(-3).toReversed());
    const { entries, next = 0 } = await cluster1.session(carol).history({ limit: 1 });
    expect(entries.at(-1)).toMatchObject({ type: "turn", id: second.turnId, prompt: "another secret" });
    const earlier = await cluster1.session(carol).history({ before: next });
    const answer = { type: "text", text: "0 before, and a secret" };
    expect(earlier.entries[0]).toMatchObject({ type: "turn", id: first.turnId, state: "completed", parts: [answer] });
    expect(earlier.next).toBeUndefined();
    const turn = await cluster1.session(carol).turn(first.turnId);
    const ofTurn = events.filter((event) => "turnId" in event && event.turnId === first.turnId);
    expect(await Array.fromAsync(turn?.events() ?? [])).toEqual(ofTurn);
    expect(ofTurn.at(-1)).toMatchObject({ type: "turn_ended", state: "completed" });

    const [{ epoch = 0 } = {}] = await cluster1.listSessions({ prefix: carol });
    const report = await supervisor.eraseSession(carol);
    expect(report).toMatchObject({
      name: ["global", "chat", "carol"],
      turns: 2,
      conversations: [first.sessionId, second.sessionId],
      spentBy: ["erased", expect.any(String)],
    });
    expect((await cluster1.listSessions()).map(({ name }) => name)).toEqual([["global", "chat", "dave"]]);
    for (const table of ["sessions", "turns", "conversations", "spent", "event_logs", "events", "globals"]) {
      const rows = JSON.stringify(await server.sql(`select * from ${place.schema}.${table}`));
      expect([table, rows]).not.toEqual([table, expect.stringMatching(/carol/)]);
    }
    expect(await server.sql(`select sum(cost_usd) as sum from ${place.schema}.spent`)).toEqual(spent);

    expect((await supervisor.query(carol, "who am I?")).text).toMatch(/^0 before/);
    const [again] = await cluster1.listSessions({ prefix: carol });
    expect(again?.epoch).toBeGreaterThan(epoch);
    // A name as lists show it works, too, and a repeated call finds nothing.
    expect(await supervisor.eraseSession(["global", "chat", "carol"])).toMatchObject({ turns: 1 });
    expect(await supervisor.eraseSession(carol)).toMatchObject({ turns: 0, conversations: [] });
    await failure(supervisor.eraseSession(global("many")), "INVALID_OPTIONS");
    await failure(supervisor.eraseSession(carol, { sessionStore: STORE }), "INVALID_OPTIONS");
    expect((await supervisor.query(dave, "hi")).text).toMatch(/^1 before/);
  });

  test("return contents of events from their node, as they were stored", async () => {
    const fake = fakeClaude((turn) => turn.text("read"));
    const supervisor = await Supervisor.start(
      [global("reader"), global("other")].map((name) => ({ name, activation: "lazy" as const })),
      {
        cluster: cluster(),
        defaults: { spawnClaudeCodeProcess: fake.spawn },
      },
    );
    onTestFinished(() => supervisor.stop());
    const prompt = `${"long é🏰".repeat(20_000)}end`;
    await supervisor.query(global("reader"), prompt);
    const reader = supervisor.cluster?.session(global("reader"));
    const [accepted] = await Array.fromAsync(reader?.events({ types: ["turn_accepted"], live: false }) ?? []);
    if (accepted?.prompt === undefined || typeof accepted.prompt === "string") throw new Error("is not a reference");
    const content = await reader?.content(accepted.prompt);
    expect(content?.mediaType).toBe("text/plain");
    expect(Buffer.from(content?.data ?? []).toString()).toBe(prompt);
    expect(await reader?.content({ ...accepted.prompt, $content: "0".repeat(64) })).toBeUndefined();
    // Only that session refers to it.
    await supervisor.query(global("other"), "hi");
    expect(await supervisor.cluster?.session(global("other")).content(accepted.prompt)).toBeUndefined();
  });

  test("take MCP servers that can be sent, until they are evicted or move", async () => {
    const fake = fakeClaude((turn) => turn.text("read"));
    const web = (name: string) => ({ type: "http", url: `http://127.0.0.1:9/${name}` }) as const;
    const supervisor = await Supervisor.start([template(global("chat"), { mcpServers: { docs: web("docs") } })], {
      cluster: cluster(),
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    onTestFinished(() => supervisor.stop());
    const chat = supervisor.session(global(["chat", 1]));
    await chat.query("hi");
    const names = async () => (await chat.mcpStatus()).map(({ name }) => name).toSorted();
    await chat.setMcpServers({ first: web("first"), second: web("second") });
    await chat.restart();
    expect(await names()).toEqual(["docs", "first", "second"]);
    // Another handle replaces what this one has set.
    await supervisor.session(global(["chat", 1])).setMcpServers({ second: web("second") });
    await chat.restart();
    expect(await names()).toEqual(["docs", "second"]);
    await supervisor.session(global(["chat", 1])).setMcpServers({});
    await chat.restart();
    expect(await names()).toEqual(["docs"]);
  });

  test("are forked into a name that has no conversation", async () => {
    const fake = fakeClaude((turn) => turn.text(`You said: ${turn.prompt}`));
    const supervisor = await Supervisor.start(
      [
        template(global("chat"), (user: string) => ({ labels: { user } })),
        { name: global("single"), activation: "lazy" },
      ],
      { cluster: cluster(), defaults: { spawnClaudeCodeProcess: fake.spawn } },
    );
    onTestFinished(() => supervisor.stop());
    const ann = supervisor.session(global(["chat", "ann"]));
    await failure(ann.fork(global("unknown")), "SESSION_NOT_FOUND");
    const early = await ann.fork(global(["chat", "early"]));
    expect((await early.query("hi")).text).toBe("You said: hi");
    await ann.query("a");
    // A node has the name in memory, and nothing was said in it.
    await supervisor.session(global(["chat", "bob"])).status();
    const bob = await ann.fork(global(["chat", "bob"]), { title: "Bob's" });
    expect(await bob.status()).toMatchObject({ title: "Bob's", labels: { user: "bob" } });
    await bob.query("c");
    const { conversationId } = await ann.status();
    expect(fake.processes.at(-1)?.args.join(" ")).toMatch(new RegExp(`--resume[= ]${conversationId}.* --fork-session`));
    const single = await bob.fork(global("single"));
    expect((await single.query("d")).text).toBe("You said: d");
    const conversations = await Promise.all(
      [ann, bob, single].map(async (session) => (await session.status()).conversationId),
    );
    expect(new Set(conversations).size).toBe(3);
    await failure(ann.fork(global(["chat", "bob"])), "SESSION_ALREADY_STARTED");
    await failure(ann.fork(global(["chat", "ann"])), "SESSION_ALREADY_STARTED");
    // Of two at once, one gets the name.
    const both = await Promise.allSettled([ann, bob].map((source) => source.fork(global(["chat", "both"]))));
    expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await bob.stop({ conversation: "clear" });
    await (await ann.fork(global(["chat", "bob"]))).query("e");
    expect(fake.processes.at(-1)?.args.join(" ")).toContain("--fork-session");
  });

  test("share `capacity.maxConcurrentTurns` of their node with its local sessions", async () => {
    const fake = fakeClaude((turn) => (turn.prompt === "hang" ? turn.hang() : turn.text("done")));
    const local = unique();
    const supervisor = await Supervisor.start([{ name: local }, template(global("chat"))], {
      cluster: cluster(),
      capacity: { maxConcurrentTurns: 1 },
      defaults: { spawnClaudeCodeProcess: fake.spawn },
    });
    onTestFinished(() => supervisor.stop());
    const running = supervisor.stream(local, "hang");
    await vi.waitUntil(() => supervisor.capacity().turns.running === 1);
    const waiting = supervisor.query(global(["chat", 1]), "hi");
    await vi.waitUntil(() => supervisor.capacity().turns.waiting === 1);
    expect(fake.processes.flatMap(({ prompts }) => prompts)).not.toContain("hi");
    await running.interrupt();
    expect((await waiting).text).toBe("done");
    expect(supervisor.capacity().turns).toEqual({ running: 0, waiting: 0 });
  });

  test("keep budget, usage and record when another node has them", async () => {
    const where = cluster();
    const fake = fakeClaude((turn) => turn.result({ text: "ok", costUsd: 1 }));
    const start = async (name: string): Promise<Supervisor> => {
      const supervisor = await Supervisor.start([template(global("chat"), { budget: { usd: 2 } })], {
        name: "application",
        cluster: { ...where, name, budget: { usd: 3 } },
        defaults: { spawnClaudeCodeProcess: fake.spawn },
      });
      onTestFinished(() => supervisor.stop());
      return supervisor;
    };
    const [ann, bob] = [global(["chat", "ann"]), global(["chat", "bob"])];
    const first = await start("one");
    await first.query(ann, "1");
    await first.query(ann, "2");
    const exceeded = await failure(first.query(ann, "3"), "BUDGET_EXCEEDED");
    expect(exceeded.details).toEqual({ scope: "session", limitUsd: 2, spentUsd: 2 });
    await first.stop();
    const second = await start("two");
    expect((await failure(second.query(ann, "4"), "BUDGET_EXCEEDED")).details).toEqual(exceeded.details);
    expect(await second.usage({ global: true, by: ["session"] })).toMatchObject([
      { session: ["global", "chat", "ann"], costUsd: 2, turns: 2 },
    ]);
    const events = await second.session(ann).pastEvents({ types: ["turn_ended"] });
    expect(events).toHaveLength(2);
    await second.query(bob, "5");
    const whole = await failure(second.query(bob, "6"), "BUDGET_EXCEEDED");
    expect(whole.details).toEqual({ scope: "supervisor", limitUsd: 3, spentUsd: 3 });
    expect(second.budgets()).toMatchObject([
      { global: true, limitUsd: 3, spentUsd: 3 },
      { session: ["global", "chat", "ann"], spentUsd: 2 },
      { session: ["global", "chat", "bob"], spentUsd: 1 },
    ]);
  });

  test("reject `defaults.sessionStore`", async () => {
    const defaults = { sessionStore: STORE };
    const starting = Supervisor.start([{ name: global("a") }], { cluster: cluster(), defaults });
    expect((await failure(starting, "INVALID_OPTIONS")).details.problems[0]?.field).toBe("defaults.sessionStore");
  });
});

test("global(): rejects a misspelt placement", () => {
  const misspelt = { label: { gpu: "yes" } } as object;
  expect(() => global("reviewer", misspelt)).toThrow(/`label`.*labels/s);
});
