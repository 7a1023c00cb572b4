import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Change } from "../../src/journal/model/change.ts";
import { parametersOf, statementsOf } from "../../src/journal/postgres/postgres-changes.ts";
import { MARK_TRANSACTION, PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { JOURNAL_TABLES } from "../../src/journal/postgres/postgres-journal-tables.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { prepare } from "../../src/journal/postgres/postgres-schema.ts";
import { ALL_EVENTS, appendingWith, content, event, turn } from "../../src/testing/conformance/journal-case.ts";
import { waitForLocks } from "../cluster/postgres-scene.ts";
import { agreesWithMemory } from "./events-model.ts";
import { PostgresServer } from "./postgres-server.ts";

/*
 * Several nodes write their own sessions to one database, and may prune all. A content of two sessions is the only thing
 * that they share.
 */

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/** The number of steps of the last release without events. */
const BEFORE_EVENTS = 3;

const SHARED = content("what both sessions refer to");
const OF_A = appendingWith(event(1), SHARED);
const OF_B = appendingWith(event(1, { session: '"b"' }), SHARED);
const FORGET_A: Change = { type: "session_forgotten", session: '"a"' };

async function setUp() {
  const where = server.fresh();
  const journal = postgresJournal(where);
  await journal.open({ id: "first", pid: 1, host: "h", startedAt: 0 });
  onTestFinished(() => journal.close());
  /** Makes changes in an open transaction, as another node does. */
  const begin = async (...changes: Change[]): Promise<{ made: Promise<void>; commit(): Promise<void> }> => {
    const client = new pg.Client({ connectionString: where.postgres });
    await client.connect();
    await client.query(`begin; ${MARK_TRANSACTION}; set local search_path to "${where.schema}"`);
    const statements = statementsOf(changes, { code: "JOURNAL_UNAVAILABLE", label: "another" });
    const made = (async () => {
      for (const statement of statements) await client.query(statement.text, [...parametersOf(statement)]);
    })();
    const commit = async (): Promise<void> => {
      await made;
      await client.query("commit");
      await client.end();
    };
    return { made, commit };
  };
  /** Undoes that this release tells a reference's session, as a node of an earlier release leaves it out. */
  const withoutSessions = (): Promise<unknown> => server.sql(`update ${where.schema}.turn_contents set session = null`);
  const stored = async (): Promise<number> => (await server.sql(`select from ${where.schema}.contents`)).length;
  return { journal, begin, stored, withoutSessions };
}

describe("a content that two nodes share", () => {
  it("stays when one node forgets its session while another is about to refer to it", async () => {
    const { journal, begin } = await setUp();
    await journal.write({ number: 1, changes: [OF_A], durable: true });
    const referring = await begin(OF_B);
    await referring.made;
    const forgotten = journal.write({ number: 2, changes: [FORGET_A], durable: true });
    await waitForLocks(server, "for update");
    await referring.commit();
    await forgotten;
    expect(await journal.content(SHARED.hash)).toEqual(SHARED);
    expect(await journal.eventExtent('"a"')).toBeUndefined();
    await journal.write({ number: 3, changes: [{ type: "session_forgotten", session: '"b"' }], durable: true });
    expect(await journal.content(SHARED.hash)).toBeUndefined();
  });

  it("is stored again when another node refers to it while it is being deleted", async () => {
    const { journal, begin } = await setUp();
    await journal.write({ number: 1, changes: [OF_A], durable: true });
    const forgetting = await begin(FORGET_A);
    await forgetting.made;
    const referred = journal.write({ number: 2, changes: [OF_B], durable: true });
    await waitForLocks(server, "insert into contents");
    await forgetting.commit();
    await referred;
    expect(await journal.content(SHARED.hash)).toEqual(SHARED);
  });

  it("stays when it is pruned while another node is about to refer to it", async () => {
    const { journal, begin } = await setUp();
    await journal.write({ number: 1, changes: [appendingWith(event(1, { at: 1 }), SHARED)], durable: true });
    const referring = await begin(OF_B);
    await referring.made;
    const events = { ...ALL_EVENTS, since: 2 };
    const pruned = journal.prune({ endedSince: 0, turnsPerSession: 1, events });
    await waitForLocks(server, "for update");
    await referring.commit();
    await pruned;
    expect(await journal.content(SHARED.hash)).toEqual(SHARED);
    expect(await journal.eventExtent('"a"')).toEqual({ first: 2, last: 1, bytes: 0 });
    expect(await journal.eventExtent('"b"')).toMatchObject({ first: 1, last: 1 });
  });

  it("does not block a session that is forgotten while it is being pruned", async () => {
    const { journal, begin } = await setUp();
    await journal.write({ number: 1, changes: [OF_A], durable: true });
    const forgetting = await begin(FORGET_A);
    await forgetting.made;
    // Pruning skips the locked log.
    await journal.prune({ endedSince: 0, turnsPerSession: 1, events: { ...ALL_EVENTS, perSession: 0 } });
    expect((await journal.eventExtent('"a"'))?.first).toBe(1);
    await forgetting.commit();
    expect(await journal.eventExtent('"a"')).toBeUndefined();
  });

  it("stays when the turn that refers to it goes while another node is about to refer to it", async () => {
    const ended: Change = { type: "turn_ended", turn: "t1", state: "completed", at: 1, outcome: {} };
    const of = (id: string, session: string): Change => {
      const turnOf = turn(id, { session, prompt: SHARED.hash, promptKind: "text_json" });
      return { type: "turn_accepted", turn: turnOf, contents: [SHARED] };
    };
    const { journal, begin, stored } = await setUp();
    const prune = (): Promise<unknown> => journal.prune({ endedSince: 0, turnsPerSession: 0, events: ALL_EVENTS });
    const write = async (number: number, ...changes: Change[]): Promise<void> =>
      await journal.write({ number, changes, durable: true });
    const goings: readonly [string, readonly Change[], (number: number) => Promise<unknown>][] = [
      ["forgotten", [], (number) => write(number, FORGET_A)],
      ["withdrawn", [], (number) => write(number, { type: "turn_withdrawn", turn: "t1" })],
      ["pruned", [ended], prune],
    ];
    let number = 0;
    for (const [how, before, go] of goings) {
      await write(++number, of("t1", '"a"'), ...before);
      const referring = await begin(of(how, '"b"'));
      await referring.made;
      const gone = go(++number);
      await waitForLocks(server, "for update");
      await referring.commit();
      await gone;
      expect(await journal.turn("t1"), how).toBeUndefined();
      expect(await journal.content(SHARED.hash), how).toEqual(SHARED);
      number += 2;
      await write(number, { type: "session_forgotten", session: '"b"' });
      expect(await stored(), how).toBe(0);
    }
  });

  it("is not left behind by an event that has no effect", async () => {
    const { journal, stored } = await setUp();
    await journal.write({ number: 1, changes: [OF_A, OF_B], durable: true });
    const late = appendingWith(event(1, { body: { text: "late" } }), content("late"), SHARED);
    await journal.write({ number: 2, changes: [late], durable: true });
    expect(await stored()).toBe(1);
  });
});

it("PostgreSQL journal: knows the session of a content that a turn of an earlier release refers to", async () => {
  const { journal, withoutSessions } = await setUp();
  const changes: Change[] = [{ type: "turn_accepted", turn: turn("t1", { session: '"a"' }), contents: [SHARED] }];
  await journal.write({ number: 1, changes, durable: true });
  await withoutSessions();
  expect(await journal.content(SHARED.hash, '"a"')).toEqual(SHARED);
  expect(await journal.content(SHARED.hash, '"b"')).toBeUndefined();
});

it("PostgreSQL journal: has the events of a journal in memory after the same changes", {
  timeout: 60_000,
}, async () => {
  await agreesWithMemory(() => postgresJournal(server.fresh()), 10);
});

it("PostgreSQL journal: adds events to the tables of a release without them, which still works", async () => {
  const where = server.fresh();
  const place = postgresLocation(where);
  const database = await PostgresDatabase.load(place, "journal", { timeoutMs: 10_000, connections: 1 });
  onTestFinished(() => database.close());
  const before = { name: JOURNAL_TABLES.name, steps: JOURNAL_TABLES.steps.slice(0, BEFORE_EVENTS) };
  await prepare(database, before);
  const accepted = `insert into turns (id, session, prompt, position, durable, accepted_at) values ($1, '"a"', 'p', 0, true, 1)`;
  await database.transaction((query) => query(accepted, ["t1"]));
  const journal = postgresJournal(where);
  await journal.open({ id: "first", pid: 1, host: "h", startedAt: 0 });
  onTestFinished(() => journal.close());
  expect((await journal.turn("t1"))?.prompt).toBe("p");
  expect(await journal.eventExtent('"a"')).toBeUndefined();
  await journal.write({ number: 1, changes: [OF_A], durable: true });
  await prepare(database, before);
  await database.transaction((query) => query(accepted, ["t2"]));
  expect(await journal.extent('"a"')).toEqual({ turns: 2, approvals: 0, events: 1 });
});
