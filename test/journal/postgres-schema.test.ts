import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { PostgresDatabase } from "../../src/journal/postgres/postgres-database.ts";
import { type PostgresLocation, postgresLocation } from "../../src/journal/postgres/postgres-location.ts";
import { type PostgresStep, prepare } from "../../src/journal/postgres/postgres-schema.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

/* The steps of releases. Each step builds on those before it. */
const FIRST: PostgresStep = { sql: "create table things (id integer primary key, one text)" };
const SECOND: PostgresStep = { sql: "alter table things add column two text", additive: true };
const THIRD: PostgresStep = { sql: "alter table things add column three text default 'x'", additive: true };
const BREAKING: PostgresStep = { sql: "alter table things drop column one" };
const AFTER: PostgresStep = { sql: "alter table things add column five text", additive: true };

async function connect(place: PostgresLocation): Promise<PostgresDatabase> {
  const database = await PostgresDatabase.load(place, "journal", { timeoutMs: 10_000 });
  onTestFinished(() => database.close());
  return database;
}

/** Starts a release with these steps, and returns its database. */
async function release(place: PostgresLocation, ...steps: readonly PostgresStep[]): Promise<PostgresDatabase> {
  const database = await connect(place);
  await prepare(database, { name: "things", steps });
  return database;
}

async function versionOf(place: PostgresLocation): Promise<unknown> {
  return (await server.sql(`select version, made from ${place.schema}.castellan_version where name = 'things'`))[0];
}

const ADD = "insert into things (id, one) values ($1, 'x')";

describe("prepare by a release older than the tables", () => {
  it("runs and restarts while the newer steps are additive", async () => {
    const place = postgresLocation(server.fresh());
    const running = await release(place, FIRST);
    await running.transaction((query) => query(ADD, [1]));
    const newer = await release(place, FIRST, SECOND, THIRD);
    await running.transaction((query) => query(ADD, [2]));
    const restarted = await release(place, FIRST);
    await restarted.transaction((query) => query(ADD, [3]));
    expect(await newer.read("select id, three from things order by id")).toEqual(
      [1, 2, 3].map((id) => ({ id, three: "x" })),
    );
    // It has left the newer step in place, and a third release uses it.
    await release(place, FIRST, SECOND);
    expect(await versionOf(place)).toEqual({ version: 1, made: 3 });
  });

  it("rejects with reason foreign after a breaking step", async () => {
    const place = postgresLocation(server.fresh());
    await release(place, FIRST, SECOND);
    await release(place, FIRST, SECOND, BREAKING, AFTER);
    expect(await versionOf(place)).toEqual({ version: 3, made: 4 });
    for (const steps of [[FIRST], [FIRST, SECOND]]) {
      await expect(release(place, ...steps)).rejects.toMatchObject({
        code: "JOURNAL_UNAVAILABLE",
        details: { reason: "foreign" },
        message: expect.stringContaining("of version 3"),
      });
    }
    await release(place, FIRST, SECOND, BREAKING);
    expect(await versionOf(place)).toEqual({ version: 3, made: 4 });
  });

  it("works when an earlier release created the version table without additive steps", async () => {
    const place = postgresLocation(server.fresh());
    const { schema } = place;
    // The tables as that release left them.
    await server.sql(`create schema ${schema}; create table ${schema}.things (id integer primary key, one text);
      create table ${schema}.castellan_version (name text primary key, version integer not null);
      insert into ${schema}.castellan_version values ('things', 1)`);
    await release(place, FIRST);
    await release(place, FIRST, SECOND);
    await release(place, FIRST);
    // That release expects its own version number, and inserts rows without `made`.
    expect(await versionOf(place)).toEqual({ version: 1, made: 2 });
    await server.sql(`insert into ${schema}.castellan_version values ('others', 1)`);
  });
});

describe("prepare by several releases at once", () => {
  it("makes each step once, in any order of arrival", async () => {
    const place = postgresLocation(server.fresh());
    await Promise.all(
      Array.from({ length: 12 }, (_, n) => release(place, ...[FIRST, SECOND, THIRD].slice(0, 1 + (n % 3)))),
    );
    expect(await versionOf(place)).toEqual({ version: 1, made: 3 });
  });

  it("rejects the releases that are too old", async () => {
    const place = postgresLocation(server.fresh());
    const all = [FIRST, SECOND, BREAKING];
    const started = await Promise.allSettled(
      Array.from({ length: 9 }, (_, n) => release(place, ...all.slice(0, 1 + (n % 3)))),
    );
    for (const [n, result] of started.entries()) {
      if (n % 3 === 2) expect(result.status).toBe("fulfilled");
      else if (result.status === "rejected") expect(CastellanError.is(result.reason, "JOURNAL_UNAVAILABLE")).toBe(true);
    }
    expect(await versionOf(place)).toEqual({ version: 3, made: 3 });
    await expect(release(place, FIRST)).rejects.toMatchObject({ details: { reason: "foreign" } });
  });

  it("rolls back all steps if one fails", async () => {
    const place = postgresLocation(server.fresh());
    await release(place, FIRST);
    const wrong: PostgresStep = { sql: "alter table things add column six nonsense", additive: true };
    await expect(release(place, FIRST, SECOND, wrong)).rejects.toMatchObject({ code: "JOURNAL_UNAVAILABLE" });
    await release(place, FIRST, SECOND);
    expect(await versionOf(place)).toEqual({ version: 1, made: 2 });
  });
});
