import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { PostgresDatabase, requirement } from "../../src/journal/postgres/postgres-database.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { openSharedJournal } from "../../src/journal/shared-journal.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";
import { PostgresProxy } from "./postgres-proxy.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;
let proxy: PostgresProxy;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

beforeEach(async () => {
  proxy = await PostgresProxy.start(server.port);
});

afterEach(async () => {
  await proxy.stop();
});

const OWNER = { id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 };

describe("PostgresDatabase", () => {
  it("rejects with reason unreachable after its timeout when the server stops answering", async () => {
    const database = await PostgresDatabase.load(postgresLocation(server.fresh(proxy.port)), "journal", {
      timeoutMs: 100,
    });
    const one = (): Promise<unknown> => database.read("select 1 as one");
    expect(await Promise.all([one(), one()])).toEqual([[{ one: 1 }], [{ one: 1 }]]);
    proxy.hold();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const unreachable = { code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable", applied: false } };
    const rejected = Promise.all([
      expect(one()).rejects.toMatchObject(unreachable),
      expect(database.transaction((query) => query("select 1"))).rejects.toMatchObject(unreachable),
    ]);
    // The server has two seconds more than the timeout for its answer.
    await vi.advanceTimersByTimeAsync(2_100);
    await rejected;
    await database.close();
  });

  it("cancels a statement on the server at its timeout", async () => {
    const database = await PostgresDatabase.load(postgresLocation(server.fresh()), "journal", { timeoutMs: 100 });
    const slow = database.read("select pg_sleep(60)");
    await expect(slow).rejects.toMatchObject({ details: { reason: "failed", applied: false } });
    const sleeping = "query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()";
    expect(await server.sql(`select from pg_stat_activity where ${sleeping}`)).toEqual([]);
    await database.close();
  });

  it("queues any number of reads for a connection, for up to a minute", async () => {
    const terms = { timeoutMs: 100_000, connections: 1 };
    const database = await PostgresDatabase.load(postgresLocation(server.fresh()), "journal", terms);
    await database.read("select 1");
    await server.sql("create table public.locked ()");
    const unlock = await lock("public.locked");
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const many = (): Promise<unknown[]> =>
      Promise.all(Array.from({ length: 500 }, () => database.read("table public.locked")));
    const patient = many();
    await vi.advanceTimersByTimeAsync(55_000);
    await unlock();
    expect(await patient).toHaveLength(500);
    const unlockLater = await lock("public.locked");
    const first = database.read("table public.locked");
    const late = expect(many()).rejects.toMatchObject({ details: { reason: "unreachable", applied: false } });
    await vi.advanceTimersByTimeAsync(60_000);
    await late;
    await unlockLater();
    expect(await first).toEqual([]);
    await database.close();
  });

  it("rejects queued reads when it is closed, and finishes the running ones", async () => {
    const terms = { timeoutMs: 10_000, connections: 1 };
    const database = await PostgresDatabase.load(postgresLocation(server.fresh()), "journal", terms);
    await database.read("select 1");
    await server.sql("create table public.in_use ()");
    const unlock = await lock("public.in_use");
    const [reads, waits] = [database.read("table public.in_use"), database.read("table public.in_use")];
    await expect.poll(() => server.sql("select from pg_locks where not granted")).toHaveLength(1);
    const refused = expect(waits).rejects.toMatchObject({ details: { reason: "failed", applied: false } });
    const closed = database.close();
    await refused;
    await unlock();
    expect(await reads).toEqual([]);
    await closed;
    await expect(database.read("select 1")).rejects.toMatchObject({ details: { reason: "failed", applied: false } });
  });

  it("rolls back a transaction that throws, and rethrows the error", async () => {
    const database = await PostgresDatabase.load(postgresLocation(server.fresh()), "journal", { timeoutMs: 5_000 });
    const mistake = new TypeError("a mistake");
    const work = database.transaction(async (query) => {
      await query(`create schema "${database.schema}"`);
      throw mistake;
    });
    await expect(work).rejects.toBe(mistake);
    expect(await database.read("select from pg_namespace where nspname = $1", [database.schema])).toEqual([]);
    await database.close();
  });

  it("commits statements that are sent at once, or executes none if a condition is not met", async () => {
    const database = await PostgresDatabase.load(postgresLocation(server.fresh(proxy.port)), "journal", {
      timeoutMs: 5_000,
    });
    await server.sql("create table public.numbers (number integer primary key)");
    const add = (number: number) => ({ text: "insert into public.numbers values ($1)", values: [number] });
    const unless = (number: number) => ({
      text: `select ${requirement("count(*) = 0")} from public.numbers where number = $1`,
      values: [number],
      isCondition: true,
    });
    const numbers = (): Promise<unknown[]> => database.read("select number from public.numbers order by number");
    expect(await database.pipeline([unless(1), { ...add(1), text: `${add(1).text} returning number` }])).toMatchObject([
      [{}],
      [{ number: 1 }],
    ]);
    expect(await database.pipeline([unless(2), add(2), unless(3)], { durable: false })).toHaveLength(3);
    expect(await database.pipeline([unless(1), add(3)])).toBeUndefined();
    expect(await database.pipeline([add(3), unless(3)])).toBeUndefined();
    expect(proxy.roundTrips).toBe(4);
    const refused = { details: { reason: "refused", applied: false } };
    await expect(database.pipeline([unless(3), add(3), add(1), unless(3)])).rejects.toMatchObject(refused);
    await expect(database.pipeline([{ text: "select 1 / 0", values: [] }, add(3)])).rejects.toMatchObject(refused);
    expect(await numbers()).toEqual([{ number: 1 }, { number: 2 }]);
    await database.close();
  });

  it("does not know the outcome of statements that are sent at once if the connection breaks", async () => {
    const database = await PostgresDatabase.load(postgresLocation(server.fresh(proxy.port)), "journal", {
      timeoutMs: 5_000,
    });
    for (const when of ["before", "after"] as const) {
      proxy.cutAtCommit(when);
      const error = await database.pipeline([{ text: "select 1", values: [] }]).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable" } });
      expect(error).not.toHaveProperty("details.applied");
    }
    expect(await database.pipeline([{ text: "select 1 as one", values: [] }])).toEqual([[{ one: 1 }]]);
    // The server ends the connection during a statement, so it has not committed.
    const sleeping = expect(database.pipeline([{ text: "select pg_sleep(60)", values: [] }])).rejects.toMatchObject({
      details: { reason: "unreachable", applied: false },
    });
    const asleep = "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(60)'";
    await expect.poll(() => server.sql(asleep)).not.toEqual([]);
    await sleeping;
    await database.close();
  });

  it("names the missing package", async () => {
    const missing = (): Promise<never> => Promise.reject(new Error("Cannot find package 'pg'"));
    const loading = PostgresDatabase.load(postgresLocation(server.fresh()), "journal", { timeoutMs: 100 }, missing);
    await expect(loading).rejects.toMatchObject({
      code: "JOURNAL_UNAVAILABLE",
      message: expect.stringContaining("npm install pg"),
      details: { reason: "failed", applied: false },
    });
  });
});

describe("the owner of a PostgreSQL journal", () => {
  it("sends heartbeats and writes while any number of reads are blocked", async () => {
    const where = server.fresh();
    const clock = new SimulatedClock();
    const [journal, other] = [postgresJournal({ ...where, clock }), postgresJournal(where)];
    await journal.open(OWNER);
    const unlock = await lock(`${where.schema}.sessions`);
    const reads = Promise.all(Array.from({ length: 1_000 }, () => journal.sessions(["a", "b"])));
    await journal.write({ number: 1, changes: [{ type: "turn_touched", turn: "t" }], durable: true });
    await server.sql(`update ${where.schema}.owner set heartbeat = heartbeat - interval '10 seconds'`);
    await clock.advance(1_000);
    await expect.poll(() => clock.timers).toBe(1);
    await expect(other.open({ ...OWNER, id: "second" })).rejects.toMatchObject({ code: "JOURNAL_IN_USE" });
    await unlock();
    expect((await reads).flat()).toEqual([]);
    await journal.close();
  });

  it("notices without writing that another application owns the journal", async () => {
    const where = server.fresh();
    const clock = new SimulatedClock();
    const [first, second] = [postgresJournal({ ...where, clock }), postgresJournal(where)];
    const terms = {
      waitForOwnerMs: 0,
      maxAgeMs: 1_000,
      maxTurns: 7,
      maxEvents: 1_000,
      maxEventBytes: 1e9,
      keepsTranscripts: true,
    };
    const held = await openSharedJournal({}, () => first, terms, { clock, newId: () => "first", random: () => 0.5 });
    await clock.advance(1_000);
    // The heartbeat is over, and so is the first pruning.
    await expect.poll(() => clock.timers).toBe(2);
    await server.sql(`update ${where.schema}.owner set heartbeat = heartbeat - interval '10 seconds'`);
    await second.open({ ...OWNER, id: "second", pid: 22, host: "two" });
    await clock.advance(1_000);
    expect(await held.writer.lost).toMatchObject({
      code: "NOT_OWNER",
      message: expect.stringContaining("process 22 on two owns it now"),
    });
    const { lost } = second;
    await Promise.all([held.release(), second.close()]);
    await first.open(OWNER);
    expect(await Promise.race([lost, first.lost, settle()])).toBeUndefined();
    await first.close();
  });
});

/** Locks a table, and returns a function that unlocks it. */
async function lock(table: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query(`begin; lock table ${table}`);
  return () => client.end();
}

it("PostgreSQL journal: leaves no advisory lock behind after a write", async () => {
  const journal = postgresJournal(server.fresh());
  await journal.open(OWNER);
  const changes = [{ type: "turn_touched", turn: "t" }] as const;
  await journal.write({ number: 1, changes, durable: true });
  const locks = "select from pg_locks where locktype = 'advisory'";
  expect(await server.sql(locks)).toEqual([]);
  await journal.close();
});

it("PostgreSQL journal: closes within three seconds although the server no longer answers", async () => {
  const clock = new SimulatedClock();
  const journal = postgresJournal({ ...server.fresh(proxy.port), clock });
  await journal.open(OWNER);
  proxy.hold();
  await clock.advance(1_000);
  // One of them makes a connection, which would take five seconds to fail.
  const reads = Promise.allSettled(["a", "b", "c"].map((id) => journal.turn(id)));
  const began = performance.now();
  const closing = journal.close();
  await clock.advance(3_000);
  await closing;
  for (const read of await reads) {
    expect(read).toMatchObject({ status: "rejected", reason: { code: "JOURNAL_UNAVAILABLE" } });
  }
  expect(performance.now() - began).toBeLessThan(3_000);
  expect(clock.timers).toBe(0);
});

it("PostgreSQL journal: does not keep an application alive that never closes it", async () => {
  const host = fileURLToPath(new URL("postgres-host.ts", import.meta.url));
  const { postgres, schema } = server.fresh();
  const child = spawn(process.execPath, [host, postgres, schema], { stdio: ["ignore", "pipe", "inherit"] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect(output).toBe("opened\nstored\n");
  expect(code).toBe(0);
});

describe("postgresJournal place", () => {
  const where = (postgres: string): string => postgresJournal({ postgres }).location;

  it("omits user, password and parameters", () => {
    expect(where("postgres://me:secret@db.example.com:6543/app?sslmode=require")).toBe(
      "postgres://db.example.com:6543/app (schema castellan)",
    );
    expect(where("postgresql://db.example.com/app")).toBe("postgres://db.example.com:5432/app (schema castellan)");
    expect(where("postgres://me:secret@/app?host=/run/postgresql")).toBe(
      "postgres:///run/postgresql:5432/app (schema castellan)",
    );
    expect(postgresJournal({ postgres: "postgres://h/d", schema: "other" }).location).toBe(
      "postgres://h:5432/d (schema other)",
    );
  });

  it("is refused with INVALID_OPTIONS, without showing the password, if it is invalid or would contain a part of the password", () => {
    const wrong = [
      "",
      "secret",
      "mysql://me:secret@host/db",
      "postgres://me:sec#ret@host/db",
      "postgres://me:sec/ret@host/db",
      "postgres://me:sec?ret@host/db",
      "postgres://me:1#secret@host/db",
      "postgres://me:1?secret@host/db",
      "postgres://me:pass@1/secret@host/db",
      "postgres://me:secret@host:port/db",
    ];
    for (const postgres of wrong) {
      const error = thrownBy(() => postgresJournal({ postgres }));
      expect(error).toMatchObject({ code: "INVALID_OPTIONS", details: { problems: [{ field: "postgres" }] } });
      expect(inspect(error)).not.toMatch(/sec.?ret@|secret@/);
    }
  });

  it("must have a plain name as its schema", () => {
    for (const schema of ["", "Upper", 'qu"ote', "a b", "1st", "x".repeat(64)]) {
      const error = thrownBy(() => postgresJournal({ postgres: "postgres://h/d", schema }));
      expect(error).toMatchObject({ code: "INVALID_OPTIONS", details: { problems: [{ field: "schema" }] } });
    }
  });

  function thrownBy(work: () => unknown): unknown {
    try {
      work();
    } catch (error) {
      return CastellanError.is(error) ? error : undefined;
    }
    return undefined;
  }
});
