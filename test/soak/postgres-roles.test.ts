import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { migratePostgres } from "../../src/cluster/postgres/migrate-postgres.ts";
import type { Journal } from "../../src/journal/model/journal.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PostgresServer } from "../journal/postgres-server.ts";

const SCHEMA = "castellan";

let server: PostgresServer;

/** The URL for a role, whose password is its name. */
const as = (role: string, port: number = server.port): string =>
  server.url({ port }).replace(/\/\/[^@]*@/, `//${role}:${role}@`);

beforeAll(async () => {
  server = await PostgresServer.start();
  await server.sql("create role owner login password 'owner'");
  await server.sql("create role app login password 'app'");
  await server.sql("grant create on database postgres to owner");
  // As a cautious administrator does.
  await server.sql("alter default privileges for role owner revoke execute on functions from public");
  await server.sql("revoke temporary on database postgres from public");
  await migratePostgres({ postgres: as("owner"), schema: SCHEMA, grantTo: "app" });
});

afterAll(async () => {
  await server?.remove();
});

describe("a role that may only read and write the tables", () => {
  const where = async (): Promise<{ readonly postgres: string; readonly schema: string }> => {
    await server.empty(SCHEMA);
    return { postgres: as("app"), schema: SCHEMA };
  };

  describe("postgresJournal", () => {
    const make = async (): Promise<Journal> => postgresJournal(await where());
    for (const { name, run } of journalConformance(make)) it(name, run);
  });

  describe("postgresSessionStore", () => {
    const make = async () => postgresSessionStore(await where());
    for (const { name, run } of sessionStoreConformance(make)) it(name, run);
  });

  it("runs the nodes and the client of a cluster, over the loss of a node", async () => {
    await server.empty(SCHEMA);
    const spans = { beat: "500ms", staleAfter: "5s", patience: "60s" } as const;
    const url = (port: number): string => as("app", port);
    const cluster = await RealCluster.start(
      { server, claude: "fake", schema: SCHEMA, url, cluster: spans },
      "one",
      "two",
    );
    onTestFinished(() => cluster[Symbol.asyncDispose]());
    const session = cluster.client.session(cluster.nameOf("chat", "a"));
    expect((await session.query("hello")).text).toContain("hello");
    const owner = await cluster.owner("chat", "a");
    owner.kill("SIGKILL");
    expect((await session.query("still there?")).text).toContain("still there?");
    const grantors = await server.sql(
      "select distinct usename from pg_stat_activity where application_name = 'castellan'",
    );
    expect(grantors).toEqual([{ usename: "app" }]);
  });
});
