import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import type { Batch, Change } from "../../src/journal/model/change.ts";
import type { Journal, JournalOwner } from "../../src/journal/model/journal.ts";
import type { Json } from "../../src/journal/model/session-entry.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { appending, appendingWith, content, event, session, turn } from "../../src/testing/conformance/journal-case.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { PostgresProxy } from "./postgres-proxy.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const FIRST: JournalOwner = { id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 };
const SECOND: JournalOwner = { id: "second", pid: 22, host: "two", startedAt: 1_700_000_001_000 };

/** Returns a batch whose cost shows how often it was written. */
function spend(number: number, durable = true): Batch {
  const usage = { inputTokens: 1, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 };
  const models = [{ model: "m", costUsd: 10 ** (number - 1), usage }];
  const change: Change = { type: "spent", supervisor: "s", session: "a", day: "2026-01-01", models };
  return { number, changes: [change], durable };
}

/** Returns a number whose digits say how often each batch was written, the first batch last. */
async function written(journal: Journal): Promise<number | undefined> {
  return (await journal.usage({ by: [] }))[0]?.costUsd;
}

async function failure(work: Promise<unknown>): Promise<CastellanError> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!CastellanError.is(error)) throw new Error(`expected a CastellanError, got ${inspect(error)}`);
  // No error shows the password, nor do its causes.
  expect(inspect(error, { depth: 10 })).not.toContain(server.password);
  expect(inspect(error, { depth: 10 })).not.toContain(encodeURIComponent(server.password));
  return error;
}

describe("postgresJournal", () => {
  let where: ReturnType<PostgresServer["fresh"]> | undefined;
  const make = async (): Promise<Journal> => {
    where ??= server.fresh();
    await server.empty(where.schema);
    return postgresJournal(where);
  };
  for (const { name, run } of journalConformance(make)) it(name, run);
});

describe("a batch for a PostgreSQL journal", () => {
  it("changes nothing if its transaction does not begin, although its statements are on their way", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const where = server.fresh(proxy.port);
    // Without this, the statements would find no tables.
    await server.sql(`alter role current_user set search_path to "${where.schema}"`);
    onTestFinished(async () => void (await server.sql("alter role current_user reset search_path")));
    const journal = postgresJournal(where);
    await journal.open(FIRST);
    await journal.write(spend(1));
    const changes: Change[] = [
      ...spend(2).changes,
      { type: "turn_accepted", turn: turn("t1") },
      { type: "event_appended", event: event(1) },
      { type: "session_saved", session: session("a") },
    ];
    proxy.refuseBegin();
    const refused = await failure(journal.write({ ...spend(2), changes }));
    expect(refused.details).toEqual({ reason: "failed", applied: false });
    expect(await written(journal)).toBe(1);
    expect(await journal.turn("t1")).toBeUndefined();
    expect(await journal.eventExtent(event(1).session)).toBeUndefined();
    await journal.write({ ...spend(2), changes });
    expect(await written(journal)).toBe(11);
    expect(await journal.turn("t1")).toMatchObject({ id: "t1" });
    await journal.close();
  });
});

describe("ownership of a PostgreSQL journal", () => {
  it("refuses a second application with JOURNAL_IN_USE, which names the owner", async () => {
    const where = server.fresh();
    const [first, second] = [postgresJournal(where), postgresJournal(where)];
    await first.open(FIRST);
    const error = await failure(second.open(SECOND));
    expect(error.code).toBe("JOURNAL_IN_USE");
    expect(error.details).toEqual({ pid: 11, host: "one", startedAt: 1_700_000_000_000 });
    expect(error.message).toContain("process 11 on one");
    await first.close();
    await second.open(SECOND);
    await second.close();
  });

  it("passes to another application after the owner's heartbeat is stale, and the owner's writes reject with NOT_OWNER", async () => {
    const where = server.fresh();
    const [first, second] = [postgresJournal({ ...where, clock: new SimulatedClock() }), postgresJournal(where)];
    await first.open(FIRST);
    await first.write(spend(1));
    await age(where.schema, 4);
    expect((await failure(second.open(SECOND))).code).toBe("JOURNAL_IN_USE");
    await age(where.schema, 2);
    await second.open(SECOND);
    const error = await failure(first.write(spend(2)));
    expect(error.code).toBe("NOT_OWNER");
    expect(error.message).toContain("process 22 on two");
    expect(await written(second)).toBe(1);
    // The former owner's close does not release the new owner's claim.
    await first.close();
    expect((await failure(postgresJournal(where).open(FIRST))).code).toBe("JOURNAL_IN_USE");
    await second.close();
  });

  it("is kept by a heartbeat every second, and by every write", async () => {
    const where = server.fresh();
    const clock = new SimulatedClock();
    const [first, second] = [postgresJournal({ ...where, clock }), postgresJournal(where)];
    await first.open(FIRST);
    await age(where.schema, 10);
    await clock.advance(1_000);
    await expect.poll(() => clock.timers).toBe(1);
    expect((await failure(second.open(SECOND))).code).toBe("JOURNAL_IN_USE");
    await age(where.schema, 10);
    await first.write(spend(1));
    expect((await failure(second.open(SECOND))).code).toBe("JOURNAL_IN_USE");
    await first.close();
    expect(clock.timers).toBe(0);
  });

  it("can be claimed again by the same owner, which fences its earlier writes", async () => {
    const where = server.fresh();
    const [before, after] = [postgresJournal(where), postgresJournal(where)];
    await before.open(FIRST);
    await before.write(spend(1));
    await after.open(FIRST);
    expect((await failure(before.write(spend(2)))).code).toBe("NOT_OWNER");
    await after.write(spend(1));
    expect(await written(after)).toBe(2);
    await before.close();
    await after.write(spend(2));
    await after.close();
  });

  it("goes to exactly one of several applications that open an empty database at once", async () => {
    const where = server.fresh();
    const owners = Array.from({ length: 5 }, (_, n): JournalOwner => ({ ...FIRST, id: `owner ${n}`, pid: n }));
    const journals = owners.map((owner) => ({ owner, journal: postgresJournal(where) }));
    const opened = await Promise.allSettled(journals.map(({ owner, journal }) => journal.open(owner)));
    const refused = opened.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    expect(refused).toHaveLength(4);
    for (const error of refused) expect(error).toMatchObject({ code: "JOURNAL_IN_USE" });
    await Promise.all(journals.map(({ journal }) => journal.close()));
  });

  async function age(schema: string, seconds: number): Promise<void> {
    await server.sql(`update ${schema}.owner set heartbeat = heartbeat - make_interval(secs => $1)`, [seconds]);
  }
});

describe("a batch in a PostgreSQL journal", () => {
  it("takes one round trip, whatever it has", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const journal = postgresJournal({ ...server.fresh(proxy.port), clock: new SimulatedClock() });
    await journal.open(FIRST);
    onTestFinished(() => journal.close());
    const image = content("image", "image/png");
    const part = { conversationId: "c", session: '"a"', lines: "{}" };
    const outcome = { text: "done" };
    const batches: Change[][] = [
      [{ type: "turn_accepted", turn: turn("t"), contents: [image], begun: { promptId: "p", attempt: 1 } }],
      [{ type: "turn_touched", turn: "t" }],
      [
        { type: "transcript_appended", part },
        { type: "transcript_appended", part },
        appendingWith(event(1), image),
        ...appending(event(2), event(3)),
        ...spend(1).changes,
        { type: "session_saved", session: session('"a"') },
        { type: "turn_ended", turn: "t", state: "completed", at: 1, outcome },
      ],
      [{ type: "session_forgotten", session: '"a"' }],
    ];
    const before = proxy.roundTrips;
    for (const [index, changes] of batches.entries()) {
      await journal.write({ number: index + 1, changes, durable: index % 2 === 0 });
      expect(proxy.roundTrips - before).toBe(index + 1);
    }
    expect(await journal.turn("t")).toBeUndefined();
    expect(await written(journal)).toBe(1);
  });

  it("is not applied if the connection was lost before the commit, and the next write applies it", async () => {
    await withProxy(async (proxy, journal) => {
      proxy.cutAtCommit("before");
      const error = await failure(journal.write(spend(1)));
      expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable" } });
      expect(error.details).not.toHaveProperty("applied");
      expect(await written(journal)).toBeUndefined();
      await journal.write(spend(1));
      await journal.write(spend(2));
      expect(await written(journal)).toBe(11);
    });
  });

  it("is applied once if the connection was lost after the commit", async () => {
    await withProxy(async (proxy, journal) => {
      for (const number of [1, 2, 3]) {
        proxy.cutAtCommit("after");
        expect((await failure(journal.write(spend(number, number === 2)))).details).toEqual({ reason: "unreachable" });
        await journal.write(spend(number));
        await journal.write(spend(number));
      }
      expect(await written(journal)).toBe(111);
    });
  });

  it("may have been applied until a retry succeeds", async () => {
    await withProxy(async (proxy, journal) => {
      proxy.cutAtCommit("after");
      expect((await failure(journal.write(spend(1)))).details).not.toHaveProperty("applied");
      await server.end();
      // By itself this try has applied nothing, but the first one may have.
      expect((await failure(journal.write(spend(1)))).details).toEqual({ reason: "unreachable" });
      await server.start();
      await journal.write(spend(1));
      expect(await written(journal)).toBe(1);
      await server.end();
      expect((await failure(journal.write(spend(2)))).details).toEqual({ reason: "unreachable", applied: false });
      await server.start();
    });
  });

  it("is applied as a whole or not at all", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    const long: Change = { type: "turn_withdrawn", turn: "t" };
    // Longer than an index row may be.
    const id = Array.from({ length: 9_000 }, (_, n) => n.toString(36)).join("");
    const turn = { id, session: "a", prompt: "", position: 0, durable: false, acceptedAt: 0 };
    const changes = [...spend(1).changes, long, { type: "turn_accepted", turn } as const];
    const error = await failure(journal.write({ number: 1, changes, durable: true }));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "refused", applied: false } });
    expect(await written(journal)).toBeUndefined();
    await journal.write(spend(1));
    expect(await written(journal)).toBe(1);
    await journal.close();
  });

  it("is refused if JSON cannot represent it, without affecting others", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    const circle: { [name: string]: Json } = {};
    circle["self"] = circle;
    const ended = { type: "turn_ended", turn: "t", state: "completed", at: 1, outcome: circle } as const;
    const turn = { id: "t", session: "a", prompt: "", position: Number.NaN, durable: false, acceptedAt: 0 };
    for (const change of [ended, { type: "turn_accepted", turn } as const]) {
      const error = await failure(journal.write({ number: 1, changes: [change], durable: true }));
      expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "refused", applied: false } });
    }
    await journal.write(spend(1));
    await journal.close();
  });

  it("may skip numbers when it is not durable", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    await journal.write(spend(1, false));
    await journal.write(spend(4, false));
    expect(await written(journal)).toBe(1001);
    await journal.close();
  });

  async function withProxy(work: (proxy: PostgresProxy, journal: Journal) => Promise<void>): Promise<void> {
    const proxy = await PostgresProxy.start(server.port);
    const journal = postgresJournal(server.fresh(proxy.port));
    try {
      await journal.open(FIRST);
      await work(proxy, journal);
      await journal.close();
    } finally {
      await proxy.stop();
    }
  }
});

describe("postgresJournal when the server fails", () => {
  it("rejects at once, and resumes after the server is back", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    await journal.write(spend(1));
    for (const how of ["stop", "crash"] as const) {
      const before = await written(journal);
      await server.end(how);
      const began = performance.now();
      const lost = await failure(journal.write(spend(2)));
      expect(lost).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable", applied: false } });
      expect((await failure(journal.turn("t"))).code).toBe("JOURNAL_UNAVAILABLE");
      expect(performance.now() - began).toBeLessThan(2_000);
      await server.start();
      expect(await written(journal)).toBe(before);
    }
    await journal.write(spend(2));
    expect(await written(journal)).toBe(11);
    await journal.close();
  });

  it("survives cut connections, idle and in use", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    await server.cutConnections();
    await journal.write(spend(1));
    for (let number = 2; number <= 6; number += 1) {
      const [cut] = await Promise.all([write(journal, number), server.cutConnections()]);
      if (!cut) await write(journal, number);
    }
    expect(await written(journal)).toBe(111_111);
    await journal.close();
  });

  it("reports no_space, and writes again once there is space", async () => {
    const where = server.fresh();
    const journal = postgresJournal(where);
    await journal.open(FIRST);
    // The server's error when its disk is full.
    await server.sql(`create function ${where.schema}.full_disk() returns trigger language plpgsql as
      'begin raise exception ''could not extend file'' using errcode = ''53100''; end';
      create trigger full_disk before insert on ${where.schema}.spent execute function ${where.schema}.full_disk()`);
    const error = await failure(journal.write(spend(1)));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "no_space", applied: false } });
    expect(error.message).toContain("could not extend file (53100)");
    await server.sql(`drop trigger full_disk on ${where.schema}.spent`);
    await journal.write(spend(1));
    expect(await written(journal)).toBe(1);
    await journal.close();
  });

  it("closes without the server, and can be reopened", async () => {
    const journal = postgresJournal(server.fresh());
    await journal.open(FIRST);
    await server.end();
    await journal.close();
    expect((await failure(journal.open(FIRST))).details).toEqual({ reason: "unreachable", applied: false });
    await server.start();
    await journal.open(FIRST);
    await journal.close();
  });

  /** Writes a batch until it succeeds, and returns whether the first try did. */
  async function write(journal: Journal, number: number): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await journal.write(spend(number));
        return attempt === 1;
      } catch (error) {
        if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE") || attempt === 5) throw error;
      }
    }
  }
});

describe("postgresJournal rejects a database", () => {
  it("of a newer release", async () => {
    const where = server.fresh();
    const journal = postgresJournal(where);
    await journal.open(FIRST);
    await journal.close();
    await server.sql(`update ${where.schema}.castellan_version set version = 99`);
    const error = await failure(journal.open(FIRST));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "foreign" } });
    expect(error.message).toContain("of version 99");
    expect(error.message).toContain(where.schema);
  });

  it("with foreign tables in its schema", async () => {
    const where = server.fresh();
    await server.sql(`create schema ${where.schema}; create table ${where.schema}.turns (id text)`);
    const error = await failure(postgresJournal(where).open(FIRST));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "foreign" } });
    const left = await server.sql("select tablename from pg_tables where schemaname = $1", [where.schema]);
    expect(left).toEqual([{ tablename: "turns" }]);
  });

  it("that has lost a table since", async () => {
    const where = server.fresh();
    const journal = postgresJournal(where);
    await journal.open(FIRST);
    await server.sql(`drop table ${where.schema}.turns`);
    expect((await failure(journal.turn("t"))).details).toMatchObject({ reason: "damaged" });
    await journal.close();
  });

  it("with an encoding other than UTF8", async () => {
    await server.sql("create database latin encoding 'LATIN1' template template0");
    const error = await failure(postgresJournal({ postgres: server.url({ database: "latin" }) }).open(FIRST));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "refused" } });
    expect(error.message).toContain("UTF8");
  });

  it("that is read-only", async () => {
    const where = server.fresh();
    const journal = postgresJournal(where);
    await journal.open(FIRST);
    await journal.close();
    const postgres = `${where.postgres}?options=-c%20default_transaction_read_only%3Don`;
    const error = await failure(postgresJournal({ ...where, postgres }).open(FIRST));
    expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "read_only", applied: false } });
  });

  it("that does not exist or denies access", async () => {
    const wrong = server.url().replace(encodeURIComponent(server.password), "wr0ng");
    for (const postgres of [wrong, server.url({ database: "nowhere" }), server.url({ port: 1 })]) {
      const error = await failure(postgresJournal({ postgres }).open(FIRST));
      expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable" } });
      expect(inspect(error, { depth: 10 })).not.toContain("wr0ng");
    }
  });
});

it("PostgreSQL journal: needs only rights to its tables once they exist", async () => {
  const where = server.fresh();
  const journal = postgresJournal(where);
  await journal.open(FIRST);
  await journal.close();
  await server.sql(`create role guest login password 'guest'; revoke create on database postgres from public;
    grant usage on schema ${where.schema} to guest;
    grant select, insert, update, delete on all tables in schema ${where.schema} to guest`);
  const postgres = `postgres://guest:guest@127.0.0.1:${server.port}/postgres`;
  const guest = postgresJournal({ ...where, postgres });
  await guest.open(SECOND);
  await guest.write(spend(1));
  expect(await written(guest)).toBe(1);
  await guest.close();
});
