import { expect, test } from "vitest";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { CastellanError } from "../../src/errors.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { sqliteJournal } from "../../src/journal/sqlite/sqlite-journal.ts";
import { nameKey } from "../../src/names.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { run } from "./application.ts";
import { collect, eventually, failure, unique } from "./scene.ts";

/** Returns the journal with `read` in place of its reads. `read` gets the name of each method and the call. */
function reading(inner: Journal, read: (method: string, call: () => Promise<unknown>) => unknown): Journal {
  return new Proxy(inner, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      const method = value.bind(target);
      if (["open", "close", "write"].includes(String(property))) return method;
      return (...args: unknown[]) => read(String(property), () => method(...args));
    },
  });
}

/** Writes to a journal as an application that then died. */
async function leave(journal: Journal, changes: readonly Change[]): Promise<void> {
  await journal.open({ id: "dead", pid: 1, host: "here", startedAt: 0 });
  await journal.write({ number: 1, changes, durable: false });
  await journal.close();
}

/** A turn that Claude Code began by itself, with a permission request. It has not ended. */
function cut(name: string, turn: string): Change[] {
  const session = nameKey(name);
  const at = Date.now();
  const event = (number: number, type: string, body: Record<string, string | number>): Change => ({
    type: "event_appended",
    event: { session, number, at, type, turn, body: { v: 1, ...body } },
  });
  const approval = { id: `${turn}-asks`, session, tool: "Write", input: {}, requestedAt: at };
  return [
    event(1, "turn_accepted", { origin: "task" }),
    event(2, "turn_started", { attempt: 1 }),
    { type: "approval_requested", approval },
    {
      type: "event_appended",
      event: {
        session,
        number: 3,
        at,
        type: "approval_requested",
        turn,
        body: { v: 1, id: approval.id, tool: "Write", toolUseId: "u", input: {}, suggestions: [], expiresAt: 2 },
      },
    },
  ];
}

const typesOf = (events: readonly SessionEvent[]): string[] => events.map(({ type }) => type);

const COMPLETED = ["turn_accepted", "turn_started", "approval_requested", "approval_settled", "turn_ended"];

async function recordOf(supervisor: Supervisor, name: string): Promise<SessionEvent[]> {
  const record = await collect(supervisor.session(name).events({ live: false }));
  expect(record.map(({ number }) => number)).toEqual(record.map((_, index) => index + 1));
  return record;
}

test.each([
  ["memory", () => memoryJournal()],
  ["SQLite", () => sqliteJournal({ sqlite: `${newFolder()}/journal.db` })],
] as const)("Supervisor.start: reads no record of names that nobody uses, %s", async (_, journalOf) => {
  const readsOf = async (count: number): Promise<string[]> => {
    const names = Array.from({ length: count }, () => unique());
    const inner = journalOf();
    await leave(
      inner,
      names.flatMap((name, index) => cut(name, `${name}-${index}`)),
    );
    const reads: string[] = [];
    const journal = reading(inner, (method, call) => {
      reads.push(method);
      return call();
    });
    const children = names.map((name) => ({ name, activation: "lazy", approvals: true }) as const);
    await using supervisor = await run({ fake: fakeClaude(), journal }, children, { name: unique() });
    expect(supervisor.countSessions()).toBe(count);
    const atStart = [...reads];
    // The names have what they had.
    expect(typesOf(await recordOf(supervisor, names[0] ?? ""))).toEqual(COMPLETED);
    return atStart;
  };
  const few = await readsOf(2);
  expect(few).not.toContain("events");
  expect(await readsOf(60)).toEqual(few);
});

test.each([
  ["events", async (own) => await collect(own.events({ live: false }))],
  ["pastEvents", async (own) => await own.pastEvents()],
  ["turns", async (own) => expect(await own.turns()).toMatchObject([{ origin: "task", state: "interrupted" }])],
  ["turn", async (own, id) => expect((await own.turn(id))?.state).toBe("interrupted")],
  ["approvalHistory", async (own) => expect(await own.approvalHistory()).toMatchObject([{ outcome: "withdrawn" }])],
  ["history", async (own) => await own.history()],
  ["note", async (own) => void (await own.note({ kind: "seen" }))],
  ["query", async (own) => void (await own.query("hi"))],
  ["exportSession", async (own, _, supervisor) => await collect(supervisor.exportSession(own.name))],
] as [string, (own: ReturnType<Supervisor["session"]>, id: string, supervisor: Supervisor) => Promise<unknown>][])(
  "session.%s: finds the record completed after the death of an application, if it is the first use",
  async (_, use) => {
    const [inner, name] = [memoryJournal(), unique()];
    const turn = `${name}-turn`;
    await leave(inner, cut(name, turn));
    const children = [{ name, activation: "lazy", approvals: true }] as const;
    await using supervisor = await run({ fake: fakeClaude(), journal: inner }, children, { name: unique() });
    await use(supervisor.session(name), turn, supervisor);
    // What the use itself adds follows.
    const stored = await inner.events({ session: nameKey(name), limit: 1_000 });
    expect(stored.slice(0, COMPLETED.length).map(({ type }) => type)).toEqual(COMPLETED);
    expect(stored[3]).toMatchObject({ turn, body: { cause: "application_ended", toolUseId: "u" } });
    expect(stored[4]).toMatchObject({ turn, body: { state: "interrupted", cut: true } });
    const record = await recordOf(supervisor, name);
    expect(typesOf(record).filter((type) => type === "turn_ended")).toHaveLength(
      stored.length > 5 && record.length > 6 ? 2 : 1,
    );
  },
);

test("session.events(): a reader that waits when the record is opened gets what completes it, once, and what follows", async () => {
  const [inner, name] = [memoryJournal(), unique()];
  await leave(inner, cut(name, `${name}-turn`));
  const children = [{ name, activation: "lazy", approvals: true }] as const;
  await using supervisor = await run({ fake: fakeClaude(), journal: inner }, children, { name: unique() });
  const own = supervisor.session(name);
  const readers = [own.events(), own.events({ after: 0 }), own.events({ after: 2 })].map((events) => collect(events));
  await own.query("hi");
  await own.stop();
  const [fromNow = [], all = [], some = []] = (await Promise.all(readers)).map((read) =>
    read.filter(({ number }) => number !== undefined),
  );
  expect(all.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1));
  expect(typesOf(all).slice(0, 6)).toEqual([...COMPLETED, "turn_accepted"]);
  expect(some).toEqual(all.slice(2));
  expect(fromNow).toEqual(all.slice(3));
});

test("session: a record that cannot be read is told to its reader and its turn, and is opened by the next use", async () => {
  const [inner, name] = [memoryJournal(), unique()];
  await leave(inner, cut(name, `${name}-turn`));
  let isBroken = true;
  const failed = new CastellanError("JOURNAL_UNAVAILABLE", "it rests", { details: { reason: "failed" } });
  const journal = reading(inner, (method, call) =>
    isBroken && (method === "eventExtent" || method === "events") ? Promise.reject(failed) : call(),
  );
  const children = [{ name, activation: "lazy", approvals: true }] as const;
  await using supervisor = await run({ fake: fakeClaude(), journal }, children, { name: unique() });
  const own = supervisor.session(name);
  await failure(own.pastEvents(), "JOURNAL_UNAVAILABLE");
  await failure(own.note({ kind: "seen" }), "JOURNAL_UNAVAILABLE");
  const turn = own.stream("hi");
  await eventually(() => own.status().lastExit !== undefined);
  isBroken = false;
  expect((await turn.result()).text).toBe("You said: hi");
  const record = await recordOf(supervisor, name);
  expect(typesOf(record).slice(0, 6)).toEqual([...COMPLETED, "turn_accepted"]);
  expect(typesOf(record).filter((type) => type === "turn_ended")).toHaveLength(2);
});

test("session: uses at the same time open the record once, also those of a name that is started again meanwhile", async () => {
  const [inner, name] = [memoryJournal(), unique()];
  await leave(inner, cut(name, `${name}-turn`));
  const gate = Promise.withResolvers<void>();
  let opened = 0;
  const journal = reading(inner, async (method, call) => {
    if (method === "eventExtent") opened++;
    if (method === "eventExtent") await gate.promise;
    return await call();
  });
  const session = { name, activation: "lazy", approvals: true } as const;
  await using supervisor = await run({ fake: fakeClaude(), journal }, [session], { name: unique() });
  const first = supervisor.session(name);
  const uses = [first.pastEvents(), first.turns(), first.note({ kind: "seen" }), first.history()];
  await eventually(() => opened > 0);
  expect(opened).toBe(1);
  await supervisor.terminateSession(name);
  const again = supervisor.startSession(session);
  gate.resolve();
  await Promise.allSettled(uses);
  await again;
  await supervisor.session(name).query("hi");
  const types = typesOf(await recordOf(supervisor, name));
  expect(types.slice(0, COMPLETED.length)).toEqual(COMPLETED);
  expect(types.filter((type) => type === "turn_ended")).toHaveLength(2);
  expect(types.filter((type) => type === "approval_settled")).toHaveLength(1);
});

test("Supervisor.stop: writes the events of a record that is being opened", async () => {
  const [inner, name] = [memoryJournal(), unique()];
  await leave(inner, cut(name, `${name}-turn`));
  const gate = Promise.withResolvers<void>();
  const journal = reading(inner, async (method, call) => {
    if (method === "eventExtent") await gate.promise;
    return await call();
  });
  const fake = fakeClaude();
  const supervisor = await run({ fake, journal }, [{ name, activation: "lazy" }], { name: unique() });
  const turn = supervisor.session(name).stream("hi", { timeout: 1 });
  await failure(turn.result(), "TURN_TIMEOUT");
  const stopped = supervisor.stop();
  gate.resolve();
  await stopped;
  await inner.open({ id: "after", pid: 1, host: "here", startedAt: 0 });
  const stored = await inner.events({ session: nameKey(name), limit: 1_000 });
  expect(stored.map(({ number }) => number)).toEqual(stored.map((_, index) => index + 1));
  const own = stored.filter(({ turn: id }) => id === turn.id).map(({ type }) => type);
  expect(own).toEqual(["turn_accepted", "turn_ended"]);
  await inner.close();
});

test("LoanedSession: the first loan of a member after a restart shows no event of an earlier loan", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique("pool");
  const children = [pool(name, { size: 1, conversation: "shared" })];
  const first = await run(both, children, { name: unique() });
  const earlier = await first.pool(name).checkout();
  await earlier.session.query("secret");
  await earlier.checkin();
  await first.stop();
  await using second = await run(both, children, { name: unique() });
  await using loan = await second.pool(name).checkout();
  expect(await collect(loan.session.events({ live: false }))).toEqual([]);
  expect(await loan.session.pastEvents()).toEqual([]);
  const { turnId } = await loan.session.query("mine");
  const turns = (await collect(loan.session.events({ live: false }))).filter(({ type }) => type === "turn_accepted");
  expect(turns).toMatchObject([{ turnId }]);
});
