import { expect, test } from "vitest";
import { CastellanClient } from "../../src/client/client.ts";
import { eventNames } from "../../src/events.ts";
import { pool, Supervisor, template } from "../../src/index.ts";
import type { Caller } from "../../src/server/http/caller.ts";
import { listen } from "../../src/server/listen.ts";
import { OPERATIONS } from "../../src/server/native/operations.ts";
import { liveEventTypes, recordedEventTypes } from "../../src/session/record/event-schemas.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { liveTypes, recordedTypes } from "../../src/wire/event.ts";
import { supervisorEventTypes } from "../../src/wire/supervisor-event.ts";
import { unique } from "../session-on-fake/scene.ts";
import { first, NativeScene, OPERATOR } from "./native-scene.ts";

/** A value for each path parameter. */
const VALUES: Readonly<Record<string, string>> = {
  name: encodeURIComponent('"assistant"'),
  turn: "t",
  approval: "a",
  schedule: "s",
  server: "docs",
  hash: "0".repeat(64),
  pool: "p",
  id: "w",
  child: encodeURIComponent('"assistant"'),
};

const pathOf = (path: string): string => path.replace(/\{(\w+)\}/g, (_, name: string) => VALUES[name] ?? "");

async function failureOf(response: Response): Promise<{ readonly status: number; readonly code: string }> {
  const { error } = (await response.json()) as { readonly error: { readonly code: string; readonly message: string } };
  expect(error.message).toMatch(/^\S.*[.]$/s);
  return { status: response.status, code: error.code };
}

test("native API: refuses each operation to a caller without its scope", async () => {
  const scopes = {
    read: new Set(["read"]),
    talk: new Set(["talk"]),
    approve: new Set(["approve"]),
    operate: new Set(["operate"]),
  };
  const callers = Object.fromEntries(Object.entries(scopes).map(([id, own]) => [id, { id, scopes: own } as Caller]));
  await using scene = await NativeScene.start({ callers });
  for (const { id, method, path, scope } of OPERATIONS) {
    for (const other of Object.keys(scopes).filter((one) => one !== scope)) {
      const response = await scene.request(pathOf(path), { method: method.toUpperCase() }, other);
      expect(await failureOf(response), `${id} by ${other}`).toEqual({ status: 403, code: "FORBIDDEN" });
    }
  }
  expect(await failureOf(await scene.request("/health", {}, "nobody"))).toEqual({
    status: 401,
    code: "UNAUTHENTICATED",
  });
});

test("native API: a caller with a prefix or labels reaches and sees no other session", async () => {
  const [support, other, jobs] = [unique("support"), unique("other"), unique("jobs")];
  const callers: Readonly<Record<string, Caller>> = {
    operator: OPERATOR,
    prefix: { ...OPERATOR, id: "prefix", prefix: support },
    ann: { ...OPERATOR, id: "ann", labels: { user: "ann" } },
  };
  await using scene = await NativeScene.start({
    callers,
    children: [
      template(support, (user: string) => ({ labels: { user } })),
      template(other, (user: string) => ({ labels: { user } })),
      pool(jobs, { size: 1 }),
    ],
  });
  const [operator, prefixed, ann] = [scene.client(), scene.client("prefix"), scene.client("ann")];
  for (const name of [support, other])
    for (const user of ["ann", "bob"]) await operator.session([name, user]).query("hi");
  const names = async (client: typeof operator, query = {}): Promise<unknown> =>
    (await client.listSessions({ ...query, state: "idle" })).sessions.map(({ name }) => name);
  const reached = {
    prefix: [
      [support, "ann"],
      [support, "bob"],
    ],
    ann: [
      [other, "ann"],
      [support, "ann"],
    ],
  };
  expect(await names(prefixed)).toEqual(reached.prefix);
  expect(await names(prefixed, { prefix: other })).toEqual([]);
  expect(await names(prefixed, { prefix: [support, "ann"] })).toEqual([[support, "ann"]]);
  expect(await names(ann)).toEqual(expect.arrayContaining(reached.ann));
  expect(await names(ann, { labels: { user: "bob" } })).toEqual([]);
  const hidden = { code: "SESSION_NOT_FOUND", status: 404, message: "There is no session of this name." };
  for (const [client, name] of [
    [prefixed, [other, "ann"]],
    [ann, [support, "bob"]],
    [ann, [support, "new"]],
  ] as const) {
    const session = client.session(name);
    const calls = [
      () => session.get(),
      () => session.enqueue("x"),
      () => session.turns(),
      () => session.restart(),
      () => session.erase(),
      () => session.health(),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject(hidden);
    await expect(session.events({ after: 0 }).next()).rejects.toMatchObject(hidden);
    await expect(session.export().next()).rejects.toMatchObject(hidden);
  }
  expect((await operator.session([support, "bob"]).get()).state).toBe("idle");
  expect((await ann.session([support, "ann"]).query("again")).text).toBe("You said: again");
  // It creates sessions that it reaches, and cannot take a session away from others or to others.
  expect((await ann.createSession({ name: [support, "ann", 2] })).labels).toEqual({ user: "ann" });
  await expect(ann.createSession({ name: [support, "x"], labels: { user: "bob" } })).rejects.toMatchObject({
    code: "FORBIDDEN",
  });
  await expect(ann.createSession({ name: [support, "bob"] })).rejects.toMatchObject(hidden);
  await expect(ann.session([support, "ann"]).describe({ labels: { user: null } })).rejects.toMatchObject({
    code: "FORBIDDEN",
  });
  await expect(prefixed.session([support, "ann"]).fork({ name: unique() })).rejects.toMatchObject({
    code: "FORBIDDEN",
  });
  // Pools have names and no labels. What concerns all sessions is for callers who reach all.
  for (const client of [prefixed, ann]) {
    expect(await client.pools()).toEqual([]);
    await expect(client.pool(jobs).enqueue("x")).rejects.toMatchObject({ code: "POOL_NOT_FOUND", status: 404 });
    for (const { id, method, path } of OPERATIONS.filter(({ wholeReach }) => wholeReach === true)) {
      const token = client === ann ? "ann" : "prefix";
      const response = await scene.request(pathOf(path), { method: method.toUpperCase() }, token);
      expect(await failureOf(response), id).toEqual({ status: 403, code: "FORBIDDEN" });
    }
  }
  expect(scene.wrong).toEqual([]);
});

test("native API: answers each wrong request with a typed error", async () => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name }] });
  const session = `/sessions/${encodeURIComponent(JSON.stringify(name))}`;
  const post = (body: unknown, type = "application/json"): RequestInit => ({
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers: { "content-type": type },
  });
  const wrong: readonly (readonly [string, RequestInit, number, string])[] = [
    ["/nothing", {}, 404, "NOT_FOUND"],
    [session, { method: "PUT" }, 405, "METHOD_NOT_ALLOWED"],
    ["/sessions/assistant", {}, 400, "INVALID_OPTIONS"],
    ["/sessions/%5B%5D", {}, 400, "INVALID_OPTIONS"],
    ["/sessions/%5B1%5D", {}, 400, "INVALID_OPTIONS"],
    [`/sessions/${encodeURIComponent('{"global":"x","y":1}')}`, {}, 400, "INVALID_OPTIONS"],
    [`/sessions/${encodeURIComponent('{"global":"x"}')}`, {}, 503, "CLUSTER_UNAVAILABLE"],
    ["/sessions?limit=0", {}, 400, "INVALID_OPTIONS"],
    ["/sessions?limit=1&limit=2", {}, 400, "INVALID_OPTIONS"],
    ["/sessions?before=x", {}, 400, "INVALID_OPTIONS"],
    ["/sessions?label=user", {}, 400, "INVALID_OPTIONS"],
    ["/sessions?state=gone", {}, 400, "INVALID_OPTIONS"],
    ["/health?deep=true", {}, 400, "INVALID_OPTIONS"],
    ["/usage?since=yesterday", {}, 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({}), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: "" }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: [{ type: "text" }] }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: [{ type: "audio", data: "x" }] }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: "x", model: "opus" }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: "x", metadata: [] }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post({ prompt: "x", timeout: "soon" }), 400, "INVALID_OPTIONS"],
    [`${session}/turns`, post('{"prompt":'), 400, "MALFORMED_REQUEST"],
    [`${session}/turns`, post({ prompt: "x" }, "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"],
    [`${session}/turns/none`, {}, 404, "NOT_FOUND"],
    [`${session}/turns?before=none`, {}, 400, "INVALID_OPTIONS"],
    [`${session}/events?before=1&after=1`, {}, 400, "INVALID_OPTIONS"],
    [`${session}/events?types=text_delta`, {}, 400, "INVALID_OPTIONS"],
    [`${session}/events/stream?turn=none`, {}, 404, "NOT_FOUND"],
    [`${session}/events/stream`, { headers: { "last-event-id": "first" } }, 400, "MALFORMED_REQUEST"],
    [`${session}/contents/none`, {}, 400, "INVALID_OPTIONS"],
    [`${session}/contents/${"0".repeat(64)}`, {}, 404, "NOT_FOUND"],
    [`${session}/approvals/none/approve`, post({}), 404, "NOT_FOUND"],
    [`${session}/approvals/none/approve`, post({ answers: {}, input: {} }), 400, "INVALID_OPTIONS"],
    [`${session}/approvals/none/approve`, post({ rules: [{ type: "everything" }] }), 400, "INVALID_OPTIONS"],
    [`${session}/approvals/none/deny`, post({ message: 1 }), 400, "INVALID_OPTIONS"],
    [`${session}/schedules`, post({ prompt: "x" }), 400, "INVALID_OPTIONS"],
    [`${session}/schedules`, post({ prompt: "x", every: "sometimes" }), 400, "INVALID_OPTIONS"],
    [`${session}/move`, post({ node: "x" }), 400, "UNSUPPORTED"],
    [`${session}/fork`, post({ name }), 400, "SESSION_ALREADY_STARTED"],
    ["/sessions", post({ name: "unknown" }), 404, "SESSION_NOT_FOUND"],
    ["/pools/none", {}, 404, "POOL_NOT_FOUND"],
    ["/children/%22none%22/restart", post({}), 404, "CHILD_NOT_FOUND"],
  ];
  for (const [path, init, status, code] of wrong) {
    expect(await failureOf(await scene.request(path, init)), `${init.method ?? "GET"} ${path}`).toEqual({
      status,
      code,
    });
  }
  expect(await scene.client().session(name).turns()).toEqual({ turns: [], next: null });
});

test("native API: answers the library's errors with their status, and tells users no more than they need", async () => {
  const [full, spent] = [unique("full"), unique("spent")];
  const user: Caller = { id: "user", scopes: new Set(["read", "talk"] as const) };
  await using scene = await NativeScene.start({
    callers: { operator: OPERATOR, user },
    fake: fakeClaude((turn) => (turn.prompt === "work" ? turn.hang() : turn.text("done"))),
    children: [
      { name: full, mailboxLimit: 1 },
      { name: spent, budget: { usd: 0.001 } },
    ],
  });
  const client = scene.client("operator", { retries: 0 });
  const running = await client.session(full).enqueue("work");
  await first(client.session(full).events({ after: 0 }), ({ type }) => type === "turn_started");
  await client.session(full).enqueue("waits");
  await expect(client.session(full).enqueue("one more")).rejects.toMatchObject({
    code: "MAILBOX_FULL",
    status: 429,
    retryable: true,
    retryAfterMs: 1_000,
    message: expect.stringContaining(full),
  });
  await expect(scene.client("user", { retries: 0 }).session(full).enqueue("x")).rejects.toMatchObject({
    code: "MAILBOX_FULL",
    message: expect.not.stringContaining(full),
  });
  await expect(client.session(full).enqueue("now", { whenBusy: "reject" })).rejects.toMatchObject({
    code: "SESSION_BUSY",
    status: 429,
    retryable: false,
  });
  await expect(client.session(full).hibernate()).rejects.toMatchObject({ code: "SESSION_BUSY" });
  await client.session(full).interruptTurn(running);
  await client.session(spent).query("spend");
  await expect(client.session(spent).enqueue("more")).rejects.toMatchObject({ code: "BUDGET_EXCEEDED", status: 402 });
});

test("native API: runs a command only for an operator, and takes a text as it is", async () => {
  const name = unique();
  const talker: Caller = { id: "talker", scopes: new Set(["read", "talk"] as const) };
  await using scene = await NativeScene.start({ children: [{ name }], callers: { operator: OPERATOR, talker } });
  const compact = { command: "compact", arguments: "" };
  await expect(scene.client("talker").session(name).enqueue(compact)).rejects.toMatchObject({ code: "FORBIDDEN" });
  expect((await scene.client("talker").session(name).query("/compact")).text).toBe("You said: /compact");
  expect(await scene.client().session(name).query(compact)).toMatchObject({ command: "compact" });
});

test("native API: takes the header Idempotency-Key for the field of the body", async () => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name }] });
  const path = `/sessions/${encodeURIComponent(JSON.stringify(name))}/turns`;
  const send = async (): Promise<unknown> => {
    const headers = { "content-type": "application/json", "idempotency-key": "k" };
    return await (await scene.request(path, { method: "POST", headers, body: '{"prompt":"hello"}' })).json();
  };
  expect(await send()).toEqual(await send());
  expect((await scene.client().session(name).turns()).turns).toHaveLength(1);
});

test("native API: a caller gets no content of a session out of reach, although the caller knows its hash", async () => {
  const [support, other] = [unique("support"), unique("other")];
  const callers: Readonly<Record<string, Caller>> = {
    operator: OPERATOR,
    ann: { ...OPERATOR, id: "ann", labels: { user: "ann" } },
  };
  const [secret, shared] = ["secret ".repeat(10_000), "shared ".repeat(10_000)];
  await using scene = await NativeScene.start({
    callers,
    children: [template(support, (user: string) => ({ labels: { user } })), { name: other }],
  });
  const [operator, ann] = [scene.client(), scene.client("ann")];
  const bobs = operator.session([support, "bob"]);
  // Long texts in prompts and in their answers.
  await bobs.query(secret);
  await bobs.query(shared);
  const anns = ann.session([support, "ann"]);
  await ann.createSession({ name: [support, "ann"] });
  await anns.query(shared);
  const references = async (of: typeof bobs): Promise<{ readonly $content: string }[]> => {
    const { events } = await of.pastEvents({ types: ["turn_accepted", "text"] });
    return events.flatMap((event) => {
      const text = event.type === "turn_accepted" ? event.prompt : event.type === "text" ? event.text : undefined;
      return text === undefined || typeof text === "string" ? [] : [text];
    });
  };
  const own = new Set((await references(anns)).map(({ $content }) => $content));
  const all = await references(bobs);
  expect([own.size, all.length]).toEqual([2, 4]);
  for (const reference of all) {
    expect((await bobs.content(reference)).data.length).toBeGreaterThan(64_000);
    // By the session out of reach, and by the caller's own session.
    await expect(ann.session([support, "bob"]).content(reference)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
    const asked = anns.content(reference);
    if (own.has(reference.$content)) expect((await asked).data.length).toBeGreaterThan(64_000);
    else await expect(asked).rejects.toMatchObject({ code: "NOT_FOUND", status: 404 });
    // Not even an operator reads it through a session that has nothing to do with it.
    await expect(operator.session(other).content(reference)).rejects.toMatchObject({ code: "NOT_FOUND" });
  }
  expect(scene.wrong).toEqual([]);
});

test("native API: a turn, a job, a schedule and a steered message tell who asked", async () => {
  const [name, jobs] = [unique(), unique("jobs")];
  const bob: Caller = { ...OPERATOR, id: "bob" };
  await using scene = await NativeScene.start({
    callers: { operator: OPERATOR, bob },
    children: [{ name }, pool(jobs, { size: 1 })],
  });
  const client = scene.client("bob");
  const session = client.session(name);
  const id = await session.enqueue("hello");
  expect(await session.wait(id)).toMatchObject({ id, by: "bob", reply: { text: "You said: hello" } });
  expect((await session.steer(id, { text: "more", afterEnd: "enqueue" })).id).not.toEqual(id);
  expect((await session.turns()).turns).toMatchObject([
    { prompt: "more", by: "bob" },
    { prompt: "hello", by: "bob" },
  ]);
  // The operator's turn is the operator's, and one that the application begins has no caller.
  await scene.client().session(name).query("later");
  await scene.supervisor.session(name).query("own");
  const [own, later] = (await session.turns()).turns;
  expect(own).not.toHaveProperty("by");
  expect(later).toMatchObject({ by: "operator" });
  const accepted = await session.pastEvents({ types: ["turn_accepted"] });
  expect(accepted.events.map((event) => "by" in event && event.by)).toEqual([false, "operator", "bob", "bob"]);
  await session.schedule("tick", { every: "1 h" });
  expect(await session.schedules()).toMatchObject([{ prompt: "tick", by: "bob" }]);
  const job = await client.pool(jobs).enqueue("work");
  expect(await client.pool(jobs).wait(job)).toMatchObject({ by: "bob" });
  expect((await client.pool(jobs).turns()).turns).toMatchObject([{ id: job, by: "bob" }]);
  expect(scene.wrong).toEqual([]);
});

test("native API: nobody asks in another's name", async () => {
  const name = unique();
  await using scene = await NativeScene.start({ children: [{ name }] });
  const path = `/sessions/${encodeURIComponent(JSON.stringify(name))}/turns`;
  const headers = { "content-type": "application/json" };
  const response = await scene.request(path, { method: "POST", headers, body: '{"prompt":"hi","by":"ann"}' });
  expect(await failureOf(response)).toEqual({ status: 400, code: "INVALID_OPTIONS" });
});

test("native API: a read brings no template's session into memory", async () => {
  const support = unique("support");
  await using scene = await NativeScene.start({ children: [template(support, {})] });
  const session = scene.client().session([support, 1]);
  for (const read of [
    () => session.get(),
    () => session.turns(),
    () => session.pastEvents(),
    () => session.approvals(),
  ]) {
    await expect(read()).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" });
  }
  expect(scene.supervisor.countSessions()).toBe(0);
});

test("the schemas of events have every type of the library", () => {
  expect(new Set(recordedTypes)).toEqual(new Set([...recordedEventTypes, "unknown"]));
  expect(new Set(liveTypes)).toEqual(new Set(liveEventTypes));
  const published = eventNames.map((name) => name.replace("castellan:", ""));
  // The session's own events have the messages of its process.
  const shown = [...published.filter((type) => type !== "session:message"), "opened"];
  expect(new Set(supervisorEventTypes)).toEqual(new Set(shown));
});

test("a supervisor without a name streams its events", async () => {
  const fake = fakeClaude();
  await using supervisor = await Supervisor.start([{ name: "assistant" }], {
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  await using server = await listen(supervisor, { tokens: false });
  const events = new CastellanClient({ url: server.url }).events({ types: ["turn:end"] });
  expect((await events.next()).value).toMatchObject({ type: "opened" });
  await supervisor.query("assistant", "hello");
  expect((await events.next()).value).toMatchObject({ type: "turn:end", session: "assistant", state: "completed" });
  await events.return();
});
