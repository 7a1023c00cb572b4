import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { beforeDeploy } from "../../examples/postgresql.ts";
import { migratePostgres } from "../../src/cluster/postgres/migrate-postgres.ts";
import type { CastellanError } from "../../src/errors.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { PostgresServer } from "./postgres-server.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
  await server.sql("create role migrator login password 'migrator'");
  await server.sql("create role app login password 'app'");
  // As a cautious administrator does.
  await server.sql("alter default privileges revoke execute on functions from public");
  await server.sql("grant create on database postgres to migrator");
  await server.sql("alter default privileges for role migrator revoke execute on functions from public");
});

afterAll(async () => {
  await server?.remove();
});

const OWNER = { id: "first", pid: 11, host: "one", startedAt: 1_700_000_000_000 };

interface Place {
  readonly postgres: string;
  readonly schema: string;
}

/** Returns the place for each role. */
function places(): { readonly migrator: Place; readonly app: Place } {
  const { postgres, schema } = server.fresh();
  const as = (role: string): Place => ({ postgres: postgres.replace(/\/\/[^@]*@/, `//${role}:${role}@`), schema });
  return { migrator: as("migrator"), app: as("app") };
}

async function refusal(work: Promise<unknown>): Promise<CastellanError<"JOURNAL_UNAVAILABLE">> {
  return await work.then(
    () => Promise.reject(new Error("it was not refused")),
    (error: CastellanError<"JOURNAL_UNAVAILABLE">) => error,
  );
}

/** Runs what the error says, as the owner of the tables. */
async function grant({ details }: CastellanError<"JOURNAL_UNAVAILABLE">): Promise<void> {
  for (const statement of details.grants ?? []) await server.sql(statement);
}

describe("a role that migrates and a role that runs", () => {
  let own: ReturnType<typeof places>;

  beforeAll(async () => {
    own = places();
    expect((await migratePostgres({ ...own.migrator, grantTo: "app" })).changed).toEqual([
      "journal",
      "cluster",
      "transcripts",
    ]);
  });

  it("migrate an up-to-date schema without a change, and let nobody else read it", async () => {
    expect((await migratePostgres(own.migrator)).changed).toEqual([]);
    await server.sql("create role stranger login password 'stranger'");
    const error = await refusal(
      postgresJournal({ ...own.app, postgres: own.app.postgres.replace("app:app", "stranger:stranger") }).open(OWNER),
    );
    expect(error.details.grants).toEqual([`grant usage on schema "${own.app.schema}" to "stranger"`]);
  });

  it("get nothing on tables of another program in the schema", async () => {
    const { migrator, app } = places();
    await migratePostgres(migrator);
    await server.sql(`create table ${app.schema}.salaries (n int)`);
    await migratePostgres({ ...migrator, grantTo: "app" });
    const journal = postgresJournal(app);
    await journal.open(OWNER);
    await journal.close();
    const may = (table: string, what: string): string =>
      `has_table_privilege('app', '${app.schema}.${table}', '${what}')`;
    const checks = [may("salaries", "select"), may("castellan_version", "update"), may("turns", "delete")];
    // Divides by zero unless the role has exactly the last one.
    await server.sql(`select 1 / (array[${checks.join()}] = array[false, false, true])::int`);
  });
});

describe("a role that lacks privileges", () => {
  it("gets the grants that let it run, step by step", async () => {
    const { migrator, app } = places();
    const { schema } = app;
    const first = await refusal(postgresJournal(app).open(OWNER));
    expect(first).toMatchObject({
      code: "JOURNAL_UNAVAILABLE",
      details: { reason: "denied", applied: false },
      message: expect.stringMatching(/role app may not create the schema.*castellan migrate/),
    });
    await migratePostgres(migrator);
    const usage = await refusal(postgresJournal(app).open(OWNER));
    expect(usage.details.grants).toEqual([`grant usage on schema "${schema}" to "app"`]);
    expect(usage.message).toContain(`the role app lacks privileges. Run as the owner of the tables: grant usage`);
    await grant(usage);
    const all = await refusal(postgresJournal(app).open(OWNER));
    expect(all.details.grants).toEqual([
      `grant select, insert, update, delete on all tables in schema "${schema}" to "app"`,
      `grant execute on function "${schema}"."append_segments" to "app"`,
    ]);
    await grant(all);
    const journal = postgresJournal(app);
    await journal.open(OWNER);
    await journal.close();
    await server.sql(`revoke delete, update on ${schema}.turns from app`);
    await server.sql(`revoke select on ${schema}.castellan_version from app`);
    const some = await refusal(postgresJournal(app).open(OWNER));
    expect(some.details.grants).toEqual([
      `grant select on "${schema}"."castellan_version" to "app"`,
      `grant update, delete on "${schema}"."turns" to "app"`,
    ]);
    await grant(some);
    await journal.open(OWNER);
    await journal.close();
  });

  it("is told to have the tables migrated, and by whom, when a release needs newer ones", async () => {
    const { migrator, app } = places();
    await migratePostgres({ ...migrator, grantTo: "app" });
    await server.sql(`update ${app.schema}.castellan_version set version = 1, made = 16 where name = 'journal'`);
    const error = await refusal(postgresJournal(app).open(OWNER));
    expect(error).toMatchObject({
      details: { reason: "denied", applied: false },
      message: expect.stringMatching(/may not create or migrate the tables of the journal.*`castellan migrate`/),
    });
  });

  it("gets `denied` when a privilege is revoked while it runs, and goes on once it has it again", async () => {
    const { migrator, app } = places();
    await migratePostgres({ ...migrator, grantTo: "app" });
    const journal = postgresJournal(app);
    await journal.open(OWNER);
    onTestFinished(() => journal.close());
    const accepted = {
      type: "turn_accepted",
      turn: { id: "t", session: '"a"', prompt: "p", position: 1, durable: true, acceptedAt: 1 },
    } as const;
    await server.sql(`revoke insert on ${app.schema}.turns from app`);
    const denied = await refusal(journal.write({ number: 1, changes: [accepted], durable: true }));
    expect(denied).toMatchObject({
      details: { reason: "denied", applied: false },
      message: expect.stringContaining("permission denied for table turns"),
    });
    await server.sql(`grant insert on ${app.schema}.turns to app`);
    await journal.write({ number: 1, changes: [accepted], durable: true });
    expect(await journal.turn("t")).toMatchObject({ prompt: "p" });
  });

  it("gets `denied` if it may not connect to the database", async () => {
    await server.sql("create database closed");
    await server.sql("revoke connect on database closed from public");
    const postgres = server.url({ database: "closed" }).replace(/\/\/[^@]*@/, "//app:app@");
    expect(await refusal(postgresJournal({ postgres }).open(OWNER))).toMatchObject({
      details: { reason: "denied", applied: false },
      message: expect.stringContaining("permission denied for database"),
    });
  });
});

it("examples/postgresql.ts: migrates as the owner, and lets the application run", async () => {
  await server.sql("create database example");
  await server.sql("grant create on database example to migrator");
  const url = (role: string): string => server.url({ database: "example" }).replace(/\/\/[^@]*@/, `//${role}:${role}@`);
  expect(await beforeDeploy(url("migrator"))).toMatch(/migrated journal, cluster, transcripts$/);
  expect(await beforeDeploy(url("migrator"))).toMatch(/\/example \(schema castellan\) is up to date$/);
  const journal = postgresJournal({ postgres: url("app") });
  await journal.open(OWNER);
  await journal.close();
});
