import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Journal } from "../../src/journal/model/journal.ts";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";
import { PgBouncer } from "../journal/pgbouncer.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";

let server: PostgresServer;
let pooler: TransactionPooler;
let bouncer: PgBouncer;

beforeAll(async () => {
  server = await PostgresServer.start();
  pooler = await TransactionPooler.start(server.url(), 3);
  bouncer = await PgBouncer.start(server, { poolSize: 3 });
});

afterAll(async () => {
  await pooler?.stop();
  await bouncer?.remove();
  await server?.remove();
});

// PgBouncer prefers the session that it used last; the other one, that which it used first.
describe.each(["PgBouncer", "a pooler that takes another session for each transaction"])("behind %s", (name) => {
  let place: ReturnType<PostgresServer["fresh"]> | undefined;
  const where = async (): Promise<ReturnType<PostgresServer["fresh"]>> => {
    place ??= server.fresh(name === "PgBouncer" ? bouncer.port : pooler.port);
    await server.empty(place.schema);
    return place;
  };

  describe("postgresJournal", () => {
    const make = async (): Promise<Journal> => postgresJournal(await where());
    for (const { name, run } of journalConformance(make)) it(name, run);
  });

  describe("postgresSessionStore", () => {
    const make = async () => postgresSessionStore(await where());
    for (const { name, run } of sessionStoreConformance(make)) it(name, run);
  });

  it("leaves no advisory lock behind", async () => {
    expect(await server.sql("select from pg_locks where locktype = 'advisory'")).toEqual([]);
  });
});

it("postgresJournal: names the startup parameter that a pooler rejects", async () => {
  for (const { port } of [pooler, bouncer]) {
    const postgres = `${server.url({ port })}?statement_timeout=1`;
    const journal = postgresJournal({ ...server.fresh(port), postgres });
    await expect(journal.open({ id: "a", pid: 1, host: "h", startedAt: 0 })).rejects.toMatchObject({
      message: expect.stringContaining("unsupported startup parameter: statement_timeout"),
    });
  }
});
