import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { PostgresDatabase } from "../../src/journal/postgres-database.ts";
import { postgresJournal } from "../../src/journal/postgres-journal.ts";
import { postgresPlace } from "../../src/journal/postgres-place.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
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

describe("a database", () => {
  it("is waited for no longer than was said when it answers nothing any more", async () => {
    const database = await PostgresDatabase.load(postgresPlace(server.fresh(proxy.port)), "journal", 100);
    const one = (): Promise<unknown> => database.read("select 1 as one");
    expect(await Promise.all([one(), one()])).toEqual([[{ one: 1 }], [{ one: 1 }]]);
    proxy.hold();
    const unreachable = { code: "JOURNAL_UNAVAILABLE", details: { reason: "unreachable", applied: false } };
    await Promise.all([
      expect(one()).rejects.toMatchObject(unreachable),
      expect(database.transaction((query) => query("select 1"))).rejects.toMatchObject(unreachable),
    ]);
    await database.close();
  });

  it("ends a statement that takes too long by itself", async () => {
    const database = await PostgresDatabase.load(postgresPlace(server.fresh()), "journal", 100);
    const slow = database.read("select pg_sleep(60)");
    await expect(slow).rejects.toMatchObject({ details: { reason: "failed", applied: false } });
    const sleeping = "query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()";
    expect(await server.sql(`select from pg_stat_activity where ${sleeping}`)).toEqual([]);
    await database.close();
  });

  it("undoes what a transaction did that throws, and throws the same", async () => {
    const database = await PostgresDatabase.load(postgresPlace(server.fresh()), "journal", 5_000);
    const mistake = new TypeError("a mistake");
    const work = database.transaction(async (query) => {
      await query(`create schema "${database.schema}"`);
      throw mistake;
    });
    await expect(work).rejects.toBe(mistake);
    expect(await database.read("select from pg_namespace where nspname = $1", [database.schema])).toEqual([]);
    await database.close();
  });

  it("says which package is missing", async () => {
    const missing = (): Promise<never> => Promise.reject(new Error("Cannot find package 'pg'"));
    const loading = PostgresDatabase.load(postgresPlace(server.fresh()), "journal", 100, missing);
    await expect(loading).rejects.toMatchObject({
      code: "JOURNAL_UNAVAILABLE",
      message: expect.stringContaining("npm install pg"),
      details: { reason: "failed", applied: false },
    });
  });
});

it("leaves nothing in a session that another transaction could find, or miss", async () => {
  const journal = postgresJournal(server.fresh());
  await journal.open(OWNER);
  const changes = [{ type: "turn_touched", turn: "t" }] as const;
  await journal.write({ number: 1, changes, durable: true });
  const locks = "select from pg_locks where locktype = 'advisory'";
  expect(await server.sql(locks)).toEqual([]);
  await journal.close();
});

it("closes a journal although the server answers nothing any more", async () => {
  const clock = new SimulatedClock();
  const journal = postgresJournal({ ...server.fresh(proxy.port), clock });
  await journal.open(OWNER);
  proxy.hold();
  await clock.advance(1_000);
  const closing = journal.close();
  await clock.advance(3_000);
  await closing;
  expect(clock.timers).toBe(0);
});

it("does not keep an application alive that forgets to close its journal", async () => {
  const host = fileURLToPath(new URL("postgres-host.ts", import.meta.url));
  const { postgres, schema } = server.fresh();
  const child = spawn(process.execPath, [host, postgres, schema], { stdio: ["ignore", "pipe", "inherit"] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect(output).toBe("opened\nstored\n");
  expect(code).toBe(0);
});

describe("the place of a journal", () => {
  const where = (postgres: string): string => postgresJournal({ postgres }).place;

  it("is named without user, password and parameters", () => {
    expect(where("postgres://me:secret@db.example.com:6543/app?sslmode=require")).toBe(
      "postgres://db.example.com:6543/app (schema castellan)",
    );
    expect(where("postgresql://db.example.com/app")).toBe("postgres://db.example.com:5432/app (schema castellan)");
    expect(where("postgres://me:secret@/app?host=/run/postgresql")).toBe(
      "postgres:///run/postgresql:5432/app (schema castellan)",
    );
    expect(postgresJournal({ postgres: "postgres://h/d", schema: "other" }).place).toBe(
      "postgres://h:5432/d (schema other)",
    );
  });

  it("is refused if it is none, or if the password would be taken for a part of it, and the error does not show it", () => {
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

  it("has a schema that is a plain name", () => {
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
