import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, expect, test } from "vitest";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import { ownDirectoryOf } from "../../src/claude/own-directory.ts";
import { CastellanError, command, type ExportedLine, pool, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Batch } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { NOTHING_SPENT } from "../../src/journal/model/spending.ts";
import { nameKey, type SessionName } from "../../src/names.ts";
import { conversationClaims } from "../../src/session/conversation/conversation-claims.ts";
import { serverOf } from "../../src/session/session.ts";
import { ALL_EVENTS, appending, appendingWith, content, event } from "../../src/testing/conformance/journal-case.ts";
import { type FakeClaude, fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { collect, eventually, failure, unique } from "./scene.ts";

let fake: FakeClaude;

afterEach(() => expectNothingLeft(fake));

function setUp(script?: Parameters<typeof fakeClaude>[0]): { fake: FakeClaude; journal: Journal } {
  fake = fakeClaude(script ?? ((turn) => turn.text(`${turn.history.length / 2} before`)));
  return { fake, journal: memoryJournal() };
}

/** A session store in memory whose `delete` fails on demand. */
class Store implements SessionStore {
  readonly kept = new Map<string, SessionStoreEntry[]>();
  fault: Error | undefined;

  #id({ projectKey, sessionId, subpath = "" }: SessionKey): string {
    return JSON.stringify([projectKey, sessionId, subpath]);
  }

  async append(key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    this.kept.set(this.#id(key), [...(this.kept.get(this.#id(key)) ?? []), ...entries]);
  }

  async load(key: SessionKey): Promise<SessionStoreEntry[] | null> {
    return this.kept.get(this.#id(key)) ?? null;
  }

  async delete(key: SessionKey): Promise<void> {
    if (this.fault !== undefined) throw this.fault;
    this.kept.delete(this.#id(key));
  }
}

const ELSEWHERE = expect.objectContaining({ what: "files" });

/** Returns the rows of a SQLite journal as text. */
function contentsOf(path: string): string {
  using database = new DatabaseSync(path, { readOnly: true });
  const tables = [
    ...["sessions", "turns", "approvals", "spending", "conversations", "event_logs", "events", "contents"],
    ...["transcripts", "transcript_parts"],
  ];
  return JSON.stringify(tables.map((table) => database.prepare(`SELECT * FROM ${table}`).all()));
}

async function exported(supervisor: Supervisor, name: SessionName): Promise<ExportedLine[]> {
  const lines = await collect(supervisor.exportSession(name));
  expect(lines.every((line) => line.endsWith("\n") && !line.slice(0, -1).includes("\n"))).toBe(true);
  return lines.map((line) => JSON.parse(line) as ExportedLine);
}

test("eraseSession(): stops a running session and keeps nothing but its costs, without its name", async () => {
  const both = setUp(async (turn) => {
    if (turn.prompt === "hang") await turn.hang();
    await turn.text("a secret answer");
  });
  const [name, other] = [unique("carol"), unique("other")];
  await using supervisor = await run(both, [{ name, approvals: true }, { name: other }]);
  const [first, second] = [await query(name, "a secret"), await query(name, "another")];
  await session(name).clear();
  await query(name, "after it");
  await query(other, "stays");
  const handle = session(name);
  const cut = handle.stream("hang");
  const ended = failure(cut.result(), "TURN_INTERRUPTED");
  await fake.prompted(5);
  const { conversationId } = handle.status();
  const before = await supervisor.usage();
  const report = await supervisor.eraseSession(name);
  await ended;
  expect(report).toEqual({
    name,
    turns: 4,
    approvals: 0,
    events: expect.any(Number),
    jobs: 0,
    conversations: [first.sessionId, conversationId],
    transcripts: 0,
    files: 0,
    spentBy: ["erased", expect.any(String)],
    left: [ELSEWHERE],
  });
  expect(supervisor.listSessions().map((status) => status.name)).toEqual([other]);
  expect(await supervisor.usage()).toEqual(before);
  const spenders = (await supervisor.usage({ by: ["session"] })).map((entry) => entry.session);
  expect(spenders).toEqual([report.spentBy, other]);
  // The handle's memory has forgotten the turn, too.
  expect(await handle.turn(second.turnId)).toBeUndefined();
  await failure(handle.query("more"), "SESSION_STOPPED");
  // Late writes of the erased session change nothing.
  await serverOf(handle)?.saveConversation();
  await serverOf(handle)?.fromJournal(async (journal) =>
    journal.spent([{ model: "m", costUsd: 1, usage: NOTHING_SPENT.usage }], undefined),
  );
  expect(await supervisor.usage()).toEqual(before);
  expect(await both.journal.sessions([nameKey(name)])).toEqual([]);
  expect(JSON.stringify(await Array.fromAsync(both.journal.records(nameKey(name))))).toBe("[]");
  await supervisor.startSession({ name });
  const anew = await query(name, "who am I?");
  expect(anew.sessionId).not.toBe(conversationId);
  expect(fake.transcript(anew.sessionId)).toHaveLength(2);
  expect(await session(name).usage()).toMatchObject([{ costUsd: 0.01 }]);
  await supervisor.stop();
});

test("eraseSession(): erases hibernated, evicted and merely journaled sessions", async () => {
  const both = setUp();
  const name = unique("user");
  const family = template(name, { activation: "lazy", idleTimeout: "1s" }, { retention: "5s" });
  const clock = new SimulatedClock();
  const first = await run({ ...both, clock }, [family]);
  const ids = new Map<number, string>();
  for (const user of [1, 2, 3]) ids.set(user, (await query([name, user], `secret ${user}`)).sessionId);
  await clock.advance(2_000);
  await eventually(() => session([name, 1]).status().state === "hibernated");
  expect((await first.eraseSession([name, 1])).conversations).toEqual([ids.get(1)]);
  await clock.advance(10_000);
  expect(first.listSessions()).toEqual([]);
  expect((await first.eraseSession(session([name, 2]))).conversations).toEqual([ids.get(2)]);
  await first.stop();

  await using second = await run({ ...both, clock }, [family]);
  expect(await second.eraseSession([name, 3])).toMatchObject({ turns: 1, conversations: [ids.get(3)] });
  for (const user of [1, 2, 3]) expect((await query([name, user], "hi")).text).toBe("0 before");
  await second.stop();
});

test("eraseSession(): erases a session that is no longer declared, or that its template no longer accepts", async () => {
  const both = setUp();
  const [name, gone] = [unique("user"), unique("gone")];
  const users = new Set([7]);
  const family = template(name, (user: number) => {
    if (!users.has(user)) throw new Error(`there is no user ${user}`);
    return {};
  });
  const first = await run(both, [{ name: gone }, family]);
  await query(gone, "secret");
  await query([name, 7], "secret");
  await first.stop();
  users.delete(7);
  await using second = await run(both, [family]);
  expect(await second.eraseSession(gone)).toMatchObject({ turns: 1, conversations: [expect.any(String)] });
  expect(await second.eraseSession([name, 7])).toMatchObject({ turns: 1, conversations: [expect.any(String)] });
  expect(await both.journal.sessions([nameKey(gone), nameKey([name, 7])])).toEqual([]);
});

test("eraseSession(): erases a quarantined session, and a member of a pool, which a new member replaces", async () => {
  const both = setUp(async (turn) => {
    if (turn.prompt === "die") await turn.crash({ code: 1 });
    await turn.text(`${turn.history.length / 2} before`);
  });
  const [name, pooled] = [unique(), unique("pool")];
  await using supervisor = await run(both, [{ name }, pool(pooled, { size: 1, conversation: "shared" })], {
    maxRestarts: 0,
  });
  await query(name, "secret");
  await failure(query(name, "die"), "TURN_INTERRUPTED").catch(() => {});
  await eventually(() => session(name).status().state === "quarantined");
  expect(await supervisor.eraseSession(name)).toMatchObject({ conversations: [expect.any(String)] });
  expect(supervisor.listSessions({ prefix: name })).toEqual([]);
  expect((await query(pooled, "secret")).text).toBe("0 before");
  expect((await query(pooled, "secret")).text).toBe("1 before");
  expect(await supervisor.eraseSession([pooled, 0])).toMatchObject({ turns: 2 });
  expect((await query(pooled, "who am I?")).text).toBe("0 before");
});

test("eraseSession(): removes Claude's memory from the session's own directory, and leaves the files of its tools", async () => {
  const root = newFolder();
  const both = setUp();
  const [alice, bob] = [
    [unique(), "alice"],
    [unique(), "bob"],
  ] as const;
  await using supervisor = await run(
    both,
    [alice, bob].map((name) => ({ name, isolate: { root } })),
  );
  const places = [alice, bob].map((name) => ownDirectoryOf(name, root).path);
  for (const [index, name] of [alice, bob].entries()) {
    const place = places[index] ?? "";
    await query(name, "hi");
    await mkdir(join(place, ".memory"));
    await writeFile(join(place, ".memory", "MEMORY.md"), "secret");
    await writeFile(join(place, "report.txt"), "work");
  }
  const remembered = (await exported(supervisor, alice)).filter(({ type }) => type === "memory");
  expect(remembered).toMatchObject([{ path: join(places[0] ?? "", ".memory", "MEMORY.md") }]);
  expect((await supervisor.eraseSession(alice)).files).toBe(1);
  const left = await Promise.all(places.map((place) => readdir(place)));
  expect(left.map((names) => names.toSorted())).toEqual([["report.txt"], [".memory", "report.txt"]]);
  expect((await supervisor.eraseSession(alice)).files).toBe(0);
});

test("eraseSession(): erases all conversations of a name: cleared, rolled back, and left by changed options", async () => {
  const both = setUp(async (turn) => {
    if (turn.prompt === "long") await turn.hang();
    await turn.text("ok");
  });
  const name = unique();
  const first = await run(both, [{ name }]);
  const ids = new Set<string>();
  const ask = async (prompt: string): Promise<void> => void ids.add((await query(name, prompt)).sessionId);
  await ask("one");
  await session(name).clear();
  // The rollback empties this conversation, so the session gives it up.
  const long = session(name).stream("long");
  const cut = failure(long.result(), "TURN_INTERRUPTED");
  await fake.prompted(2);
  ids.add(session(name).status().conversationId);
  await session(name).query("instead", { whenBusy: "rollback" });
  await cut;
  await ask("two");
  await query(name, command("clear"));
  await ask("three");
  await first.stop();
  const other = unique("other");
  const before = await run(both, [{ name: other }]);
  const { sessionId: elsewhere } = await query(other, "of another name");
  await before.stop();
  await using second = await run(both, [{ name, resume: elsewhere }]);
  await ask("in the other one");
  const { conversations } = await second.eraseSession(name);
  expect(new Set(conversations)).toEqual(ids);
  expect(ids.size).toBe(5);
  expect(conversations.at(-1)).toBe(elsewhere);
  await second.stop();
});

test("eraseSession(): is idempotent, may run concurrently, and a query during it starts an empty conversation", async () => {
  const both = setUp();
  const name = unique("user");
  await using supervisor = await run(both, [template(name)]);
  const before = await query([name, 1], "secret");
  const erasing = [1, 1, 1, 2].map((user) => supervisor.eraseSession([name, user]));
  // The query starts the session anew while it is being erased.
  await eventually(() => supervisor.countSessions() === 0);
  const asked = query([name, 1], "hi");
  const reports = await Promise.all(erasing);
  expect(reports.map(({ turns }) => turns).toSorted()).toEqual([0, 0, 0, 1]);
  expect(reports[3]).toMatchObject({ turns: 0, conversations: [], left: [ELSEWHERE] });
  expect(reports[3]).not.toHaveProperty("spentBy");
  const reply = await asked;
  expect(reply.text).toBe("0 before");
  expect(reply.sessionId).not.toBe(before.sessionId);
  expect(await supervisor.eraseSession("nobody")).toMatchObject({ turns: 0, conversations: [] });
  await failure(supervisor.eraseSession(""), "INVALID_OPTIONS");
  await failure(supervisor.eraseSession([name, 1], { memory: "yes" } as never), "INVALID_OPTIONS");
});

test("eraseSession(): keeps costs apart, counts them for the supervisor's budget, and not for the next session of the name", async () => {
  const both = setUp();
  const name = unique("user");
  await using supervisor = await run(both, [template(name, { budget: { usd: 0.015 } })], { budget: { usd: 0.055 } });
  const spentBy: unknown[] = [];
  for (const user of [1, 2, 1]) {
    await query([name, user], "hi");
    await query([name, user], "hi");
    await failure(query([name, user], "hi"), "BUDGET_EXCEEDED");
    spentBy.push((await supervisor.eraseSession([name, user])).spentBy);
  }
  expect(new Set(spentBy.map((spender) => JSON.stringify(spender))).size).toBe(3);
  const usage = await supervisor.usage({ by: ["session"] });
  expect(usage).toHaveLength(3);
  expect(usage.map((entry) => entry.session)).toEqual(expect.arrayContaining(spentBy));
  for (const { costUsd } of usage) expect(costUsd).toBeCloseTo(0.02);
  await failure(query([name, 3], "hi"), "BUDGET_EXCEEDED");
  expect((await supervisor.usage())[0]?.costUsd).toBeCloseTo(0.06);
});

test("eraseSession(): loses nothing when the journal cannot write, and a second call completes it", async () => {
  const both = setUp();
  let fault: CastellanError | undefined;
  const journal: Journal = new Proxy(both.journal, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (property !== "write") return typeof value === "function" ? value.bind(target) : value;
      return async (batch: Batch) => {
        if (fault !== undefined && batch.changes.some(({ type }) => type === "session_erased")) throw fault;
        await target.write(batch);
      };
    },
  });
  const name = unique();
  await using supervisor = await run({ fake, journal }, [{ name }]);
  await query(name, "secret");
  const details = { reason: "no_space", applied: false } as const;
  fault = new CastellanError("JOURNAL_UNAVAILABLE", "full", { details });
  await failure(supervisor.eraseSession(name), "JOURNAL_UNAVAILABLE");
  expect((await exported(supervisor, name)).map(({ type }) => type)).toEqual(expect.arrayContaining(["turn", "event"]));
  fault = undefined;
  expect(await supervisor.eraseSession(name)).toMatchObject({ turns: 1, conversations: [expect.any(String)] });
  expect(await both.journal.sessions([nameKey(name)])).toEqual([]);
  expect(await both.journal.usage({ by: [], session: nameKey(name) })).toEqual([]);
});

test("eraseSession(): removes transcripts from a session store, or reports why it cannot", async () => {
  const both = setUp();
  const store = new Store();
  const name = unique();
  const children = [{ name, sessionStore: store }];
  const first = await run(both, children);
  const one = await query(name, "one");
  // The SDK loads from the store at a resume, which tells the key.
  await first.restartSession(name);
  await query(name, "two");
  const known = (await both.journal.sessions([nameKey(name)]))[0]?.memory;
  const projectKey = String(known?.["projectKey"]);
  const entry = (text: string): SessionStoreEntry => ({ type: "user", text });
  await store.append({ projectKey, sessionId: one.sessionId }, [entry("secret")]);
  await store.append({ projectKey, sessionId: "another's" }, [entry("theirs")]);
  await session(name).clear();
  const three = await query(name, "three");
  await store.append({ projectKey, sessionId: three.sessionId }, [entry("secret too")]);
  const lines = await exported(first, name);
  expect(lines.filter(({ type }) => type === "transcript")).toEqual([
    { type: "transcript", conversationId: one.sessionId, entry: entry("secret") },
    { type: "transcript", conversationId: three.sessionId, entry: entry("secret too") },
  ]);
  store.fault = new Error("no way");
  const error = await failure(first.eraseSession(name), "ERASURE_INCOMPLETE");
  expect(error.details.remaining).toEqual([
    `the transcript of ${one.sessionId} in its session store`,
    `the transcript of ${three.sessionId} in its session store`,
  ]);
  expect((await both.journal.extent(nameKey(name))).turns).toBe(3);
  await first.stop();

  // No child declares the session any more, so its store is unknown.
  store.fault = undefined;
  await using second = await run(both, []);
  await failure(second.eraseSession(name), "ERASURE_INCOMPLETE");
  const worm = { append: store.append.bind(store), load: store.load.bind(store) };
  const report = await second.eraseSession(name, { sessionStore: store });
  expect(report).toMatchObject({ turns: 3, transcripts: 2, conversations: [one.sessionId, three.sessionId] });
  expect([...store.kept.values()]).toEqual([[entry("theirs")]]);
  await second.startSession({ name, sessionStore: worm });
  await query(name, "four");
  await second.restartSession(name);
  await query(name, "five");
  expect((await second.eraseSession(name)).left).toContainEqual({
    what: "transcript",
    where: "session store",
    why: expect.stringContaining("no `delete`"),
  });
});

test('terminateSession({ conversation: "clear" }): leaves no prompt behind, and a failed removal can be repeated', async () => {
  const both = setUp();
  const store = new Store();
  const name = unique();
  await using supervisor = await run(both, [{ name, sessionStore: store }]);
  const first = await query(name, "one");
  await supervisor.restartSession(name);
  await query(name, "two");
  const projectKey = String((await both.journal.sessions([nameKey(name)]))[0]?.memory["projectKey"]);
  await store.append({ projectKey, sessionId: first.sessionId }, [{ type: "user", text: "secret" }]);
  await session(name).clear();
  await query(name, "three");
  store.fault = new Error("no way");
  const handle = session(name);
  await failure(supervisor.terminateSession(name, { conversation: "clear" }), "ERASURE_INCOMPLETE");
  expect(await handle.turn(first.turnId)).toBeUndefined();
  expect((await both.journal.extent(nameKey(name))).turns).toBe(0);
  expect(await both.journal.sessions([nameKey(name)])).toEqual([]);
  expect(await both.journal.conversations(nameKey(name))).toHaveLength(2);
  store.fault = undefined;
  await supervisor.startSession({ name, sessionStore: store });
  expect((await query(name, "anew")).text).toBe("0 before");
  await session(name).stop({ conversation: "clear" });
  expect(store.kept.size).toBe(0);
  expect(await both.journal.conversations(nameKey(name))).toEqual([]);
  // The name keeps its costs.
  expect((await both.journal.usage({ by: [], session: nameKey(name) }))[0]?.costUsd).toBeCloseTo(0.04);
});

test("eraseSession(): leaves a conversation that another session uses", async () => {
  const both = setUp();
  const [name, heir] = [unique(), unique("heir")];
  await using supervisor = await run(both, [{ name }]);
  const { sessionId } = await query(name, "one");
  await session(name).clear();
  await query(name, "two");
  await supervisor.startSession({ name: heir, resume: sessionId });
  const { conversations, left } = await supervisor.eraseSession(name);
  expect(conversations).not.toContain(sessionId);
  expect(left).toContainEqual({
    what: "transcript",
    where: `conversation ${sessionId}`,
    why: expect.stringContaining("another session"),
  });
  expect((await query(heir, "three")).text).toBe("1 before");
  expect((await supervisor.eraseSession(heir)).conversations).toEqual([sessionId]);
  expect(conversationClaims.claim(sessionId, "free again")).toBeUndefined();
  conversationClaims.release(sessionId, "free again");
});

test("eraseSession(): rejects the session of another supervisor with SESSION_ALREADY_STARTED", async () => {
  const both = setUp();
  const name = unique();
  await using _ = await run(both, [{ name }], { name: unique("theirs") });
  await using supervisor = await run(both, [], { name: unique("ours") });
  await failure(supervisor.eraseSession(name), "SESSION_ALREADY_STARTED");
  await query(name, "still there");
});

test("exportSession(): returns turns, approvals and costs of a running and a stopped session, and nothing after eraseSession()", async () => {
  const both = setUp(async (turn) => {
    await turn.askPermission("Bash", { command: "ls" });
    await turn.text("done");
  });
  const name = unique();
  await using supervisor = await run(both, [{ name, approvals: true }]);
  const turn = session(name).stream("may I?");
  await eventually(() => session(name).approvals().length === 1);
  session(name).approvals()[0]?.approve();
  const reply = await turn.result();
  const lines = await exported(supervisor, name);
  const types = lines.map(({ type }) => type);
  expect([...new Set(types)]).toEqual(["session", "turn", "approval", "event", "usage"]);
  const description = { createdAt: expect.any(Number) };
  expect(lines[0]).toEqual({ type: "session", name, conversations: [reply.sessionId], description });
  expect(lines[1]).toMatchObject({
    id: reply.turnId,
    prompt: "may I?",
    state: "completed",
    outcome: { reply: { text: "done" } },
  });
  expect(lines[1]).not.toHaveProperty("session");
  expect(lines[2]).toMatchObject({ tool: "Bash", input: { command: "ls" }, outcome: "approved" });
  expect(lines.at(-1)).toMatchObject({ costUsd: 0.01, day: expect.stringMatching(/^\d{4}-/) });
  await supervisor.terminateSession(name);
  const isOther = ({ type }: ExportedLine): boolean => type !== "event";
  const after = await exported(supervisor, name);
  expect(after.filter(isOther)).toEqual(lines.filter(isOther));
  expect(after.findLast(({ type }) => type === "event")).toMatchObject({ event: { type: "exit" } });
  expect(await supervisor.eraseSession(name)).toMatchObject({ turns: 1, approvals: 1 });
  expect(await exported(supervisor, name)).toEqual([{ type: "session", name, conversations: [] }]);
});

test("exportSession(), eraseSession(): cover events and their contents", async () => {
  const both = setUp();
  const name = unique();
  // Recent, so that they are kept.
  const mine = { session: nameKey(name), at: Date.now() };
  const [text, image] = [content("a text"), content(new Uint8Array([255, 0, 254]), "image/png")];
  await both.journal.open({ id: "earlier", pid: 1, host: "here", startedAt: 0 });
  const changes = [
    appendingWith(event(1, { ...mine, turn: "t" }), text, image),
    appendingWith(event(2, mine), text),
    ...appending(event(1, { ...mine, session: nameKey("another") })),
  ];
  await both.journal.write({ number: 1, changes, durable: true });
  await both.journal.close();
  // Records nothing of its own.
  await using supervisor = await run(both, [{ name, activation: "lazy" }]);
  const { session: _, ...first } = event(1, { ...mine, turn: "t" });
  const { session: __, ...second } = event(2, mine);
  expect(await exported(supervisor, name)).toEqual([
    { type: "session", name, conversations: [] },
    { type: "event", event: { ...first, contents: [text.hash, image.hash] } },
    { type: "content", hash: text.hash, text: "a text" },
    { type: "content", hash: image.hash, mediaType: "image/png", base64: "/wD+" },
    { type: "event", event: { ...second, contents: [text.hash] } },
  ]);
  expect(await supervisor.eraseSession(name)).toMatchObject({ turns: 0, events: 2 });
  expect(await exported(supervisor, name)).toEqual([{ type: "session", name, conversations: [] }]);
  expect(await both.journal.content(text.hash)).toBeUndefined();
  expect(await both.journal.eventExtent(nameKey("another"))).toMatchObject({ last: 1 });
});

test("eraseSession(): erases the log of a session whose events are all deleted", async () => {
  const both = setUp();
  const name = unique();
  await both.journal.open({ id: "earlier", pid: 1, host: "here", startedAt: 0 });
  await both.journal.write({ number: 1, changes: appending(event(1, { session: nameKey(name) })), durable: true });
  await both.journal.prune({ endedSince: 0, turnsPerSession: 1, events: { ...ALL_EVENTS, perSession: 0 } });
  await both.journal.close();
  await using supervisor = await run(both, []);
  expect(await both.journal.eventExtent(nameKey(name))).toMatchObject({ last: 1 });
  expect(await supervisor.eraseSession(name)).toMatchObject({ events: 0 });
  expect(await both.journal.eventExtent(nameKey(name))).toBeUndefined();
});

test("supervisor.stop(): waits for a session that is being cleared", async () => {
  const both = setUp();
  const name = unique();
  const supervisor = await run(both, [{ name }]);
  await query(name, "secret");
  const cleared = session(name).stop({ conversation: "clear" });
  await supervisor.stop();
  await cleared;
  await both.journal.open({ id: "later", pid: 1, host: "here", startedAt: 0 });
  expect(await both.journal.sessions([nameKey(name)])).toEqual([]);
  expect((await both.journal.extent(nameKey(name))).turns).toBe(0);
});

test("eraseSession(): leaves nothing in the file of a SQLite journal", async () => {
  const { fake } = setUp((turn) => turn.text(`you told me: ${turn.prompt}`));
  const sqlite = join(newFolder(), "castellan.db");
  const name = unique("carol");
  const supervisor = await run({ fake, journal: { sqlite } as never }, [template(name)]);
  for (const user of [1, 2]) await query([name, user], `the secret of ${user}`);
  await supervisor.eraseSession([name, 1]);
  expect(contentsOf(sqlite)).not.toContain("secret of 1");
  expect(contentsOf(sqlite)).toContain("secret of 2");
  await supervisor.terminateSession([name, 2], { conversation: "clear" });
  await supervisor.stop();
  expect(contentsOf(sqlite)).not.toContain("secret of");
});
