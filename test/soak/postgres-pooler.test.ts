import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { postgresSessionStore } from "../../src/journal/postgres/postgres-session-store.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";
import { sessionStoreConformance } from "../../src/testing/conformance/session-store-conformance.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";

let server: PostgresServer;
let pooler: TransactionPooler;

beforeAll(async () => {
  server = await PostgresServer.start();
  pooler = await TransactionPooler.start(server.url(), 3);
});

afterAll(async () => {
  await pooler?.stop();
  await server?.remove();
});

describe("behind a transaction pooler", () => {
  describe("postgresJournal", () => {
    for (const { name, run } of journalConformance(() => postgresJournal(server.fresh(pooler.port)))) it(name, run);
  });

  describe("postgresSessionStore", () => {
    const make = () => postgresSessionStore(server.fresh(pooler.port));
    for (const { name, run } of sessionStoreConformance(make)) it(name, run);
  });

  it("leaves no advisory lock behind", async () => {
    const before = pooler.transactions;
    const cases = journalConformance(() => postgresJournal(server.fresh(pooler.port)));
    for (const { run } of cases.slice(0, 5)) await run();
    expect(pooler.transactions).toBeGreaterThan(before);
    expect(await server.sql("select from pg_locks where locktype = 'advisory'")).toEqual([]);
  });

  it("names the startup parameter that the pooler rejects", async () => {
    const journal = postgresJournal({
      ...server.fresh(pooler.port),
      postgres: `${server.url({ port: pooler.port })}?statement_timeout=1`,
    });
    await expect(journal.open({ id: "a", pid: 1, host: "h", startedAt: 0 })).rejects.toMatchObject({
      message: expect.stringContaining("unsupported startup parameter: statement_timeout"),
    });
  });
});
