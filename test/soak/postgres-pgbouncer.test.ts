import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { postgresJournal } from "../../src/journal/postgres/postgres-journal.ts";
import { RealCluster } from "../cluster/real-cluster.ts";
import { PgBouncer, type PgBouncerOptions } from "../journal/pgbouncer.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { PostgresLoad } from "./postgres-load.ts";

let server: PostgresServer;
let pooler: PgBouncer;

beforeAll(async () => {
  server = await PostgresServer.start();
  pooler = await PgBouncer.start(server, { poolSize: 3 });
});

afterAll(async () => {
  await pooler?.remove();
  await server?.remove();
});

async function anotherPooler(options: PgBouncerOptions): Promise<PgBouncer> {
  const made = await PgBouncer.start(server, options);
  onTestFinished(() => made.remove());
  return made;
}

describe("behind PgBouncer in transaction mode", () => {
  it("an application: leaves no state in the sessions of the server", async () => {
    const where = server.fresh(pooler.port);
    const load = await PostgresLoad.start(where);
    await load.runs(20);
    expect(await load.verdict(where)).toMatchObject({ lost: 0, doubled: 0, refused: {} });
    // Session settings, prepared statements and locks would show in the sessions that the pooler keeps.
    const own = await PgBouncer.start(server, { poolSize: 1 });
    onTestFinished(() => own.remove());
    expect(await server.sql("select from pg_locks where locktype = 'advisory'")).toEqual([]);
    const other = postgresJournal({ ...where, postgres: server.url({ port: own.port }) });
    await other.open({ id: "other", pid: 1, host: "h", startedAt: 0 });
    await other.close();
    expect(await stateOf(own)).toEqual({ statements: 0, path: '"$user", public', timeout: "0", mark: null });
  });

  it("an application under load: loses and doubles nothing while PgBouncer is restarted, paused, and reconnected", async () => {
    const where = server.fresh(pooler.port);
    const load = await PostgresLoad.start(where);
    await load.runs(10);
    for (let time = 0; time < 3; time++) {
      await pooler.end();
      await load.runs(0);
      await pooler.start();
      await load.runs(10);
    }
    await pooler.console("PAUSE");
    await pooler.console("RESUME");
    await load.runs(10);
    await pooler.console("RECONNECT");
    await load.runs(10);
    expect(await load.verdict(where)).toMatchObject({ lost: 0, doubled: 0 });
  });

  it("an application: is told that PgBouncer has no room for its connections", async () => {
    const full = await anotherPooler({ maxClients: 1 });
    const journal = postgresJournal(server.fresh(full.port));
    await journal.open({ id: "a", pid: 1, host: "h", startedAt: 0 });
    onTestFinished(() => journal.close());
    await expect(journal.turn("t")).rejects.toMatchObject({
      code: "JOURNAL_UNAVAILABLE",
      details: { reason: "unreachable", applied: false },
      message: expect.stringContaining("max_client_conn"),
    });
  });
});

async function stateOf({ port }: PgBouncer): Promise<unknown> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: server.url({ port }) });
  await client.connect();
  try {
    const { rows } = await client.query(
      `select (select count(*)::integer from pg_prepared_statements) as statements, current_setting('search_path') as path,
         current_setting('statement_timeout') as timeout, nullif(current_setting('castellan.transaction', true), '') as mark`,
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

describe("a cluster behind PgBouncer", { timeout: 120_000 }, () => {
  /** How long a condition may take on a busy machine. */
  const PATIENT = { timeout: 20_000 };
  const SPANS = { beat: "500ms", staleAfter: "5s", patience: "60s" } as const;

  async function cluster(options: PgBouncerOptions, ...names: string[]): Promise<readonly [RealCluster, PgBouncer]> {
    const own = await anotherPooler(options);
    const made = await RealCluster.start({ server, port: own.port, claude: "fake", cluster: SPANS }, ...names);
    onTestFinished(() => made[Symbol.asyncDispose]());
    return [made, own];
  }

  it("in transaction mode: warns once per node that no notification comes through, and takes over all the same", async () => {
    const [nodes, own] = await cluster({ poolSize: 4 }, "one", "two");
    const session = nodes.client.session(nodes.nameOf("chat", "a"));
    const before = await session.query("hello");
    for (const { warnings } of nodes.nodes) {
      await expect.poll(() => warnings.filter((line) => line.includes("transaction pooler")), PATIENT).toHaveLength(1);
    }
    expect(await server.sql("select from pg_stat_activity where query ilike 'listen%'")).toEqual([]);
    const owner = await nodes.owner("chat", "a");
    await own.end();
    await own.start();
    expect((await session.query("hello again")).text).toContain("hello again");
    owner.kill("SIGKILL");
    const after = await session.query("still there?");
    expect(after.text).not.toBe(before.text);
    expect(await nodes.ownerOf("chat", "a")).not.toBe(owner.name);
  });

  it("in session mode: gets notifications, and warns of nothing", async () => {
    const [nodes] = await cluster({ mode: "session", poolSize: 40 }, "one", "two");
    await nodes.client.session(nodes.nameOf("chat", "a")).query("hello");
    await expect
      .poll(() => server.sql("select from pg_stat_activity where query ilike 'listen%'"), PATIENT)
      .toHaveLength(2);
    for (const { warnings } of nodes.nodes) expect(warnings.join()).not.toContain("pooler");
  });
});
