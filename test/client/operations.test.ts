import { afterAll, expect, test } from "vitest";
import { type ChildExit, pool, template } from "../../src/index.ts";
import { OPERATIONS } from "../../src/server/native/operations.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { first, NativeScene, OPERATOR } from "../server/native-scene.ts";
import { eventually, unique } from "../session-on-fake/scene.ts";
import { Receiver, SECRET } from "../webhooks/receiver.ts";

/** Every operation of the API, used once with success through the client. Each test adds those that it has used. */
const used = new Set<string>();
const wrong: unknown[] = [];

/** What only a cluster has; `test/soak/server-global.test.ts` uses it. */
const OF_CLUSTERS: ReadonlySet<string> = new Set(["moveSession"]);

async function ended(scene: NativeScene): Promise<void> {
  for (const id of scene.used) used.add(id);
  wrong.push(...scene.wrong);
  expect(scene.wrong).toEqual([]);
  await scene[Symbol.asyncDispose]();
}

afterAll(() => {
  const missing = OPERATIONS.map(({ id }) => id).filter((id) => !used.has(id) && !OF_CLUSTERS.has(id));
  expect(missing, "operations that no test uses").toEqual([]);
});

test("CastellanClient: finds, creates, describes and forks sessions", async () => {
  const [support, single] = [unique("support"), unique("single")];
  const scene = await NativeScene.start({
    children: [template(support, (user: string) => ({ labels: { user } })), { name: single }],
  });
  const client = scene.client();
  const ann = client.session([support, "ann"]);
  expect(await client.server()).toMatchObject({ api: 1, inCluster: false, caller: { id: "operator" } });
  await expect(ann.get()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND", status: 404 });
  const created = await client.createSession({ name: [support, "ann"], title: "Invoices", labels: { plan: "paid" } });
  expect(created).toMatchObject({ name: [support, "ann"], title: "Invoices", labels: { user: "ann", plan: "paid" } });
  expect(await client.createSession({ name: [support, "ann"] })).toMatchObject({ title: "Invoices" });
  expect((await ann.describe({ title: "Bills", labels: { plan: null } })).labels).toEqual({ user: "ann" });
  expect((await ann.query("hello")).text).toBe("You said: hello");
  await client.session([support, "bob"]).query("hello");
  const page = await client.listSessions({ prefix: support, limit: 1 });
  expect(page).toMatchObject({ sessions: [{ name: [support, "ann"], state: "idle" }], next: [support, "ann"] });
  const names = await Array.fromAsync(client.sessions({ prefix: support, limit: 1 }), ({ name }) => name);
  expect(names).toEqual([
    [support, "ann"],
    [support, "bob"],
  ]);
  expect((await client.listSessions({ labels: { user: "bob" } })).sessions).toHaveLength(1);
  expect((await client.listSessions({ state: "archived" })).sessions).toEqual([]);
  await client.session([support, "bob"]).describe({ archived: true });
  expect((await client.listSessions({ state: "archived" })).sessions).toMatchObject([{ name: [support, "bob"] }]);
  const copy = unique("copy");
  expect(await ann.fork({ name: copy, title: "Copy", labels: { user: "ann" } })).toMatchObject({
    name: copy,
    title: "Copy",
  });
  expect((await client.session(copy).query("again")).text).toBe("You said: again");
  expect(scene.fake.transcript((await client.session(copy).get()).status?.conversationId ?? "")).toHaveLength(4);
  await ended(scene);
});

test("SessionClient: reaches a session whatever characters its name has", async () => {
  const support = unique("support");
  const scene = await NativeScene.start({ children: [template(support, {})] });
  const keys = ["a/b", "100%", "%2F", "%22", "ü😀", "?x=1&y", "#", "..", "{}", '"', "a+b c", "\\", 4.5, -1];
  for (const key of keys) {
    const session = scene.client().session([support, key]);
    await session.query("hello");
    expect(await session.get()).toMatchObject({ name: [support, key] });
    expect((await session.turns()).turns).toHaveLength(1);
  }
  const names = await Array.fromAsync(scene.client().sessions({ prefix: support, limit: 3 }), ({ name }) => name);
  expect(new Set(names)).toEqual(new Set(keys.map((key) => [support, key])));
  await ended(scene);
});

test("SessionClient: restarts, hibernates, wakes, clears, stops, deletes, erases and exports", async () => {
  const support = unique("support");
  const scene = await NativeScene.start({ children: [template(support, {})] });
  const session = scene.client().session([support, 1]);
  await session.query("hello");
  const { status } = await session.get();
  expect(await session.hibernate()).toMatchObject({ state: "hibernated" });
  expect(await session.touch()).toEqual({ touched: "starting" });
  expect(await session.wake()).toMatchObject({ state: "idle", status: { conversationId: status?.conversationId } });
  expect((await session.restart()).status).toMatchObject({ starts: 2, conversationId: status?.conversationId });
  expect((await session.restart({ conversation: "clear" })).status?.conversationId).not.toBe(status?.conversationId);
  const before = (await session.get()).status?.conversationId;
  expect((await session.clear()).status?.conversationId).not.toBe(before);
  expect(await session.interrupt()).toMatchObject({ state: "hibernated" });
  expect(await session.health()).toEqual({ status: "healthy" });
  await session.query("spend");
  expect(await session.usage()).toMatchObject([{ costUsd: 0.02 }]);
  expect(await session.usage({ by: ["day", "model"], since: "2000-01-01" })).toHaveLength(1);
  const lines = (await Array.fromAsync(session.export())).map((line) => JSON.parse(line) as { readonly type: string });
  expect(lines[0]).toMatchObject({ type: "session", name: [support, 1] });
  expect(lines.filter(({ type }) => type === "turn")).toHaveLength(2);
  await session.stop();
  expect(await session.get()).toMatchObject({ state: "stored" });
  await session.query("back");
  await session.delete();
  await session.query("empty");
  const report = await session.erase();
  expect(report).toMatchObject({ name: [support, 1], left: [{ what: "files" }] });
  expect(report.turns).toBeGreaterThan(0);
  await expect(session.get()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  expect(await session.erase({ memory: false })).toMatchObject({ turns: 0 });
  await ended(scene);
});

test("SessionClient: inspects a session in memory, hibernated, stored or ended, and controls its MCP servers", async () => {
  const [support, single] = [unique("support"), unique("single")];
  const limited = { scopes: new Set(["read"] as const), prefix: support };
  const mcpServers = {
    docs: { type: "http", url: "http://127.0.0.1:9/mcp", headers: { key: "secret-of-server" } },
  } as const;
  const scene = await NativeScene.start({
    children: [template(support, { maxTurns: 7, mcpServers }), { name: single, env: { TOKEN: "secret-of-env" } }],
    callers: {
      operator: OPERATOR,
      user: { id: "user", ...limited },
      staff: { id: "staff", scopes: new Set(["read"]) },
      owner: { id: "owner", prefix: support, scopes: new Set(["read", "operate"]) },
    },
  });
  const client = scene.client();
  const session = client.session([support, 1]);
  await expect(session.inspect()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND", status: 404 });
  await session.query("hello");
  const options = {
    maxTurns: { value: 7, origin: { from: "template", name: support } },
    mcpServers: { value: ["docs"], origin: { from: "template", name: support } },
  };
  expect(await session.inspect()).toMatchObject({
    status: { name: [support, 1], state: "idle" },
    options,
    lastExits: [],
  });
  await session.hibernate();
  expect(await session.inspect()).toMatchObject({ status: { state: "hibernated", starts: 1 }, options });
  expect((await session.get()).state).toBe("hibernated");
  await session.wake();
  await session.reconnectMcpServer("docs");
  await session.toggleMcpServer("docs", false);
  await session.stop();
  expect(await session.inspect()).toMatchObject({ options, lastExits: [] });
  expect((await session.get()).state).toBe("stored");
  expect(await client.session(single).inspect()).toMatchObject({ options: { env: { value: ["TOKEN"] } } });
  // Options tell of prompts and paths: a caller of limited reach needs more than to read.
  const asked = (token: string) => scene.client(token).session([support, 1]).inspect();
  await expect(asked("user")).rejects.toMatchObject({ code: "FORBIDDEN", status: 403 });
  expect(await asked("staff")).toMatchObject({ options });
  expect(await asked("owner")).toMatchObject({ options });
  await expect(scene.client("owner").session(single).inspect()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  await expect(scene.client("staff").session(single).toggleMcpServer("docs", true)).rejects.toMatchObject({
    status: 403,
  });
  await client.session(single).query("hello");
  await client.session(single).stop();
  expect(await client.session(single).inspect()).toEqual({ lastExits: [] });
  expect(JSON.stringify([await session.inspect(), await client.tree()])).not.toMatch(/secret-of/);
  await ended(scene);
});

/** Works until the turn is steered or interrupted. */
const working: FakeScript = async (turn) => {
  if (turn.prompt !== "work") return turn.text(`re: ${turn.prompt}`);
  await turn.text("begun");
  await turn.hang();
};

test("SessionClient: lists, gets, waits for, steers and interrupts turns, and schedules prompts", async () => {
  const name = unique();
  const scene = await NativeScene.start({ children: [{ name }], fake: fakeClaude(working) });
  const session = scene.client().session(name);
  const id = await session.enqueue("hello", { idempotencyKey: "k1", metadata: { user: "ann" }, turnTimeout: "1m" });
  expect(await session.enqueue("hello", { idempotencyKey: "k1" })).toBe(id);
  expect(await session.wait(id)).toMatchObject({
    id,
    state: "completed",
    metadata: { user: "ann" },
    reply: { text: "re: hello", turnId: id },
  });
  const running = await session.enqueue("work");
  const seen = scene.supervisor.session(name).events({ after: 0 });
  await first(seen, ({ type, turnId }) => type === "text" && turnId === running);
  expect(await session.turn(running)).toMatchObject({ state: "running", touched: true });
  const waiting = await session.enqueue([{ type: "text", text: "later" }]);
  expect(await session.turn(waiting)).toMatchObject({ state: "queued", touched: false });
  expect(await session.steer(waiting, "and more")).toEqual({ id: waiting });
  await expect(session.wait(waiting, { timeout: 1 })).rejects.toMatchObject({ code: "REQUEST_TIMEOUT", status: 0 });
  expect(await session.interruptTurn(waiting)).toMatchObject({ state: "cancelled", error: { code: "TURN_CANCELLED" } });
  expect(await session.interruptTurn(running)).toMatchObject({
    state: "interrupted",
    error: { code: "TURN_INTERRUPTED" },
  });
  expect(await session.interruptTurn(running)).toMatchObject({ state: "interrupted" });
  await expect(session.steer(running, "too late")).rejects.toMatchObject({ code: "STEER_REFUSED", status: 400 });
  const { turns, next } = await session.turns({ limit: 2 });
  expect(turns.map((turn) => turn.id)).toEqual([waiting, running]);
  expect((await session.turns({ before: next ?? "" })).turns.map((turn) => turn.id)).toEqual([id]);
  expect((await session.turns({ state: ["completed", "interrupted"] })).turns).toHaveLength(2);
  const schedule = await session.schedule("tick", { every: "1h", metadata: { a: 1 } });
  expect(await session.schedules()).toMatchObject([{ id: schedule, prompt: "tick", every: 3_600_000 }]);
  expect(await session.cancelSchedule(schedule)).toBe(true);
  expect(await session.cancelSchedule(schedule)).toBe(false);
  await ended(scene);
});

test("SessionClient: reads events, page by page and as a stream, and their contents", async () => {
  const name = unique();
  const long = "x".repeat(70_000);
  const scene = await NativeScene.start({
    children: [{ name }],
    fake: fakeClaude((turn) => turn.text(turn.prompt === "long" ? long : "short")),
  });
  const session = scene.client().session(name);
  await session.query("long");
  const past = await session.pastEvents({ types: ["text"] });
  expect(past).toMatchObject({ events: [{ type: "text", text: { mediaType: "text/plain", size: 70_000 } }] });
  const [event] = past.events;
  if (event?.type !== "text" || typeof event.text === "string") throw new Error("no reference");
  const { mediaType, data } = await session.content(event.text);
  expect([mediaType, new TextDecoder().decode(data)]).toEqual(["text/plain", long]);
  await session.query("short");
  const forward: (number | undefined)[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page: Awaited<ReturnType<typeof session.pastEvents>> = await session.pastEvents({ after, limit: 3 });
    forward.push(...page.events.map(({ number }) => number));
    after = page.next;
  }
  const backward: (number | undefined)[] = [];
  for (let before: number | null | undefined; before !== null; ) {
    const page: Awaited<ReturnType<typeof session.pastEvents>> = await session.pastEvents({ before, limit: 3 });
    backward.push(...page.events.map(({ number }) => number));
    before = page.next;
  }
  expect(forward).toEqual(forward.map((_, index) => index + 1));
  expect(backward.toReversed()).toEqual(forward);
  const types = new Set<string>();
  const turnId = await session.enqueue("short");
  for await (const { type } of session.events({ after: 0, turn: turnId, deltas: true })) types.add(type);
  expect([...types]).toEqual(expect.arrayContaining(["turn_accepted", "turn_started", "text", "turn_ended"]));
  await ended(scene);
});

/** Asks for a permission, or asks a question, and replies with the decision. */
const asking: FakeScript = async (turn) => {
  const input =
    turn.prompt === "ask"
      ? {
          questions: [
            { question: "Which?", header: "", options: [{ label: "a", description: "" }], multiSelect: false },
          ],
        }
      : { file_path: "/tmp/a", content: "" };
  const decision = await turn.askPermission(turn.prompt === "ask" ? "AskUserQuestion" : "Write", input);
  await turn.text(JSON.stringify(decision));
};

test("SessionClient: approves, denies and answers permission requests", async () => {
  const name = unique();
  const scene = await NativeScene.start({ children: [{ name, approvals: true }], fake: fakeClaude(asking) });
  const client = scene.client();
  const session = client.session(name);
  const requested = async (prompt: string): Promise<{ readonly turn: string; readonly id: string }> => {
    const turn = await session.enqueue(prompt);
    const events = session.events({ after: 0, types: ["approval_requested"] });
    const event = await first(events, (one) => one.turnId === turn);
    if (event.type !== "approval_requested") throw new Error("no request");
    return { turn, id: event.id };
  };
  const one = await requested("write");
  expect(await client.approvals()).toMatchObject([{ id: one.id, session: name, tool: "Write", turnId: one.turn }]);
  expect(await session.approvals()).toEqual(await client.approvals());
  const rules = [
    { type: "addRules", rules: [{ toolName: "Read" }], behavior: "allow", destination: "session" } as const,
  ];
  const input = { file_path: "/tmp/b", content: "" };
  expect(await session.approve(one.id, { input, rules })).toEqual({ id: one.id, first: true, outcome: "approved" });
  expect(await session.approve(one.id)).toEqual({ id: one.id, first: false, outcome: "approved" });
  expect(await session.deny(one.id)).toEqual({ id: one.id, first: false, outcome: "approved" });
  const decision = JSON.parse((await session.wait(one.turn)).reply?.text ?? "") as object;
  expect(decision).toMatchObject({ behavior: "allow", updatedInput: input, updatedPermissions: rules });
  const other = await requested("write");
  expect(await session.deny(other.id, "Not now")).toMatchObject({ first: true, outcome: "denied" });
  expect((await session.wait(other.turn)).reply?.text).toContain("Not now");
  const question = await requested("ask");
  expect(await session.approvals()).toMatchObject([{ questions: [{ question: "Which?" }] }]);
  await expect(session.approve(question.id, { answers: { Who: "me" } })).rejects.toMatchObject({
    code: "INVALID_OPTIONS",
    details: { problems: [{ field: 'answers["Who"]' }] },
  });
  expect(await session.approve(question.id, { answers: { "Which?": "a" } })).toMatchObject({ first: true });
  expect((await session.wait(question.turn)).reply?.text).toContain('"answers":{"Which?":"a"}');
  expect(await session.approvalHistory({ limit: 2 })).toMatchObject([
    { tool: "AskUserQuestion", outcome: "approved", by: "operator" },
    { tool: "Write", outcome: "denied", by: "operator", message: "Not now" },
  ]);
  await ended(scene);
});

test("PoolClient: enqueues jobs, and lists, steers and interrupts their turns", async () => {
  const name = unique("pool");
  const scene = await NativeScene.start({ children: [pool(name, { size: 1 })], fake: fakeClaude(working) });
  const client = scene.client();
  const jobs = client.pool(name);
  expect((await jobs.query("hello", { metadata: { a: 1 }, priority: 2 })).text).toBe("re: hello");
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  expect(await client.pools()).toEqual([await jobs.status()]);
  const id = await jobs.enqueue("work", { idempotencyKey: "k", turnTimeout: "1m" });
  expect(await jobs.enqueue("work", { idempotencyKey: "k" })).toBe(id);
  const member = scene.supervisor.session([name, 0]);
  await first(member.events({ after: 0 }), (event) => event.type === "turn_started" && event.turnId === id);
  expect(await jobs.status()).toMatchObject({ lent: 1, members: [{ name: [name, 0], use: "lent" }] });
  expect(await jobs.turn(id)).toMatchObject({ id, state: "running" });
  expect(await jobs.steer(id, "hurry")).toEqual({ id });
  expect(await jobs.interruptTurn(id)).toMatchObject({ state: "interrupted" });
  expect((await jobs.turns({ state: ["interrupted"] })).turns).toMatchObject([{ id }]);
  await ended(scene);
});

test("CastellanClient: shows and changes the children, health, capacity, usage and events of the supervisor", async () => {
  const [one, two] = [unique("one"), unique("two")];
  const { promise: exited, resolve: exit } = Promise.withResolvers<ChildExit>();
  const stop = async (): Promise<void> => exit({ reason: "shutdown", cause: undefined });
  const worker = { id: unique("worker"), start: () => ({ exited, stop }) };
  const scene = await NativeScene.start({
    children: [
      { name: one, labels: { user: "ann" } },
      { name: two },
      worker,
      { name: unique("inner"), children: [{ name: unique("deep") }] },
    ],
  });
  const client = scene.client();
  const events: string[] = [];
  const leaving = new AbortController();
  const { promise: isOpen, resolve: opened } = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const event of client.events({}, { signal: leaving.signal })) {
      events.push(event.type);
      if (event.type === "opened") opened();
      if (event.type === "turn:end") return event;
    }
    return undefined;
  })();
  await isOpen;
  await client.session(one).query("hello");
  expect(await reading).toMatchObject({ session: one, state: "completed", costUsd: 0.01 });
  leaving.abort();
  expect(events.filter((type) => type !== "session:state")).toEqual([
    "opened",
    "turn:accept",
    "turn:begin",
    "turn:end",
  ]);
  const tree = await client.tree();
  expect(tree.children.map(({ kind }) => kind)).toEqual(["session", "session", "worker", "supervisor"]);
  expect(tree).toMatchObject({ intensity: { maxRestarts: 3, maxSeconds: 5, onMaxRestarts: "quarantine" } });
  const short = await client.tree({ options: false });
  expect(JSON.stringify(tree)).toContain('"options":{');
  expect(JSON.stringify(short)).not.toContain('"options"');
  expect(short.children.map(({ kind }) => kind)).toEqual(tree.children.map(({ kind }) => kind));
  expect((await client.children()).counts).toMatchObject({ specs: 4, supervisors: 1 });
  expect((await client.terminateChild(two)).children[1]).toMatchObject({ id: two, state: "terminated" });
  expect((await client.restartChild(two)).children[1]).toMatchObject({ id: two, state: "running" });
  await expect(client.restartChild(two)).rejects.toMatchObject({ code: "CHILD_RUNNING", status: 400 });
  await client.terminateChild(two);
  expect((await client.deleteChild(two)).counts.specs).toBe(3);
  expect(await client.health()).toMatchObject({ status: "healthy", phase: "running", details: [] });
  expect(await client.capacity()).toMatchObject({ processes: 2, waiting: 0, limits: {} });
  expect(await client.budgets()).toEqual([]);
  expect((await client.storage()).journal.latencyMs).toBeGreaterThanOrEqual(0);
  expect(await client.usage({ by: ["session"], label: "user" })).toMatchObject([
    { session: one, label: "ann", costUsd: 0.01 },
  ]);
  expect(await client.usage({ by: ["session"], global: true })).toEqual([]);
  await expect(client.usage({ since: "2026-02-30" })).rejects.toMatchObject({ code: "INVALID_OPTIONS", status: 400 });
  expect(await client.nodes()).toEqual([]);
  expect(await client.rebalance({ max: 3 })).toEqual([]);
  expect(await client.listGlobalSessions({ prefix: "x" })).toEqual({ sessions: [], next: null });
  expect(await client.drain({ deadline: "1s" })).toEqual({ completed: true });
  await expect(client.session(one).enqueue("late")).rejects.toMatchObject({ code: "SUPERVISOR_STOPPED", status: 503 });
  await ended(scene);
});

test("CastellanClient: lists, tests and retries webhooks", async () => {
  await using receiver = await Receiver.open();
  const webhooks = [{ url: receiver.url, secret: SECRET, id: "hook" }];
  const scene = await NativeScene.start({ supervisor: { webhooks } });
  const client = scene.client();
  expect(await client.testWebhook("hook")).toMatchObject({ delivered: true, status: 204 });
  receiver.answer = () => 410;
  await client.session("assistant").query("hello");
  await eventually(() => scene.supervisor.webhooks.list()[0]?.state === "disabled");
  expect(await client.webhooks()).toMatchObject([{ id: "hook", pendingSessions: 1, lastFailure: { status: 410 } }]);
  receiver.answer = () => 200;
  expect(await client.retryWebhook("hook")).toMatchObject([{ id: "hook", state: "ready" }]);
  await receiver.until(() => receiver.confirmed.length === 2);
  await ended(scene);
});
