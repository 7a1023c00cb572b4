import { randomInt } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { clusterJournal } from "../../src/cluster/cluster-journal.ts";
import { OwnedEpochs } from "../../src/cluster/owned-epochs.ts";
import { findStatement } from "../../src/cluster/postgres/find-statement.ts";
import { type PostgresEngineOptions, postgresEngine } from "../../src/cluster/postgres/postgres-engine.ts";
import type { Engine, EngineFindQuery } from "../../src/cluster/protocol/engine.ts";
import { CastellanError } from "../../src/errors.ts";
import type { Change } from "../../src/journal/model/change.ts";
import { type EngineBench, engineConformance, node } from "../cluster/engine-conformance.ts";
import { advance, openTransaction, type Place, postgresBench, waitForLocks } from "../cluster/postgres-scene.ts";
import { PostgresProxy } from "../journal/postgres-proxy.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { TransactionPooler } from "../journal/transaction-pooler.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
});

afterAll(async () => {
  await server?.remove();
});

const IDLE = { load: 0, draining: false };
const KEY = '["global","a"]';

function open(options: Partial<PostgresEngineOptions> & { readonly postgres: string }, clock = systemClock): Engine {
  const engine = postgresEngine({ renewTimeoutMs: 5_000, listen: false, ...options }, clock);
  onTestFinished(() => engine.close());
  return engine;
}

/** Observes changes. `next` resolves with the first change after its call. */
function hearing(engine: Engine): { next(): Promise<void> } {
  let heard = Promise.withResolvers<void>();
  const stop = engine.listen(() => {
    heard.resolve();
    heard = Promise.withResolvers();
  });
  onTestFinished(stop);
  return { next: () => heard.promise };
}

describe("postgresEngine", () => {
  let where: Place | undefined;
  const bench = (): Promise<EngineBench> => {
    where ??= server.fresh();
    return postgresBench(server, where);
  };
  for (const { name, run } of engineConformance(bench)) it(name, run);
});

describe("postgresEngine findSessions", () => {
  it("finds a page by an index in its order, so that it takes constant time", async () => {
    const where = server.fresh();
    const { schema } = where;
    await open(where).nodes();
    await server.sql(`insert into ${schema}.sessions (key, supervisor, conversation_id, memory, saved_at, archived_at)
      select format('["global","chat",%s]', n), '', '', '{}', 0, case when n % 2 = 0 then 1 end from generate_series(1, 20000) as n`);
    await server.sql(`insert into ${schema}.session_labels
      select 'user', n % 10, format('["global","chat",%s]', n) from generate_series(1, 20000) as n`);
    await server.sql(`insert into ${schema}.globals (key, owner, epoch)
      select format('["global","chat",%s]', n), 'a', 1 from generate_series(1, 20000) as n`);
    await server.sql("analyze");
    const client = new pg.Client({ connectionString: server.url(), options: `-c search_path=${schema}` });
    await client.connect();
    onTestFinished(() => client.end());
    const planOf = async (query: Partial<EngineFindQuery>): Promise<string> => {
      const all = { archived: false, range: ['["global",', '["global",\u{10FFFF}'], limit: 10, ...query } as const;
      const { text, values } = findStatement(all);
      const { rows } = await client.query<{ "QUERY PLAN": string }>(`explain analyze ${text}`, values);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    };
    const present = await planOf({ after: '["global","chat",500]' });
    expect(present).toMatch(/Index Scan using present_sessions_by_key on sessions/);
    expect(await planOf({ archived: true })).toMatch(/Index Scan using archived_sessions_by_key on sessions/);
    const labelled = await planOf({ labels: { user: "1" }, after: '["global","chat",500]' });
    expect(labelled).toMatch(/Index Only Scan using session_labels_pkey on session_labels first/);
    for (const plan of [present, labelled]) {
      expect(plan).not.toMatch(/Seq Scan on (sessions|session_labels|globals)/);
      // No step reads more rows than a page and those that the condition leaves out.
      for (const [, rows] of plan.matchAll(/actual time=\S+ rows=([\d.]+)/g))
        expect(Number(rows), plan).toBeLessThan(40);
    }
  });
});

describe("postgresEngine claim", () => {
  it("never deadlocks with concurrent renewals, batches, joins and leaves", async () => {
    const where = server.fresh();
    const engines = Array.from({ length: 4 }, () => open(where));
    const [engine] = engines as [Engine];
    const keys = Array.from({ length: 12 }, (_, n) => `["global",${n}]`);
    await engine.nodes();
    const before = await deadlocks();
    const worked = await Promise.all(
      engines.map(async (own, who) => {
        let [lives, batches] = [0, 0];
        const life = async (): Promise<void> => {
          lives += 1;
          const boot = `node ${who} life ${lives}`;
          const owned = new OwnedEpochs();
          const journal = clusterJournal(where, { boot }, owned, () => true, systemClock);
          await own.join(node(boot, { staleMs: 50 }));
          await journal.open({ id: boot, pid: 1, host: "h", startedAt: 0 });
          let over = false;
          const renewing = (async () => {
            while (!over && (await own.renew(boot, IDLE)));
          })();
          for (let number = 1; number <= 12; number += 1) {
            const wanted = Array.from({ length: 4 }, () => keys[randomInt(keys.length)] ?? KEY);
            const claims = await Promise.all(wanted.map(async (key) => ({ key, claim: await own.claim(boot, key) })));
            for (const { key, claim } of claims) if (claim.taken) owned.take(key, claim.epoch);
            const sessions = owned.keys;
            if (sessions.length === 0) continue;
            const written = await journal
              .write({ number, sessions, durable: false, changes: sessions.map(spent) })
              .then(() => true, refusal);
            batches += written ? 1 : 0;
            if (!written) break;
            for (const key of sessions.slice(4)) {
              const epoch = owned.epochOf(key) ?? 0;
              owned.drop(key);
              await own.release(boot, key, epoch);
            }
          }
          if (lives % 2 === 0) await own.leave(boot);
          over = true;
          await renewing;
          await journal.close();
        };
        for (let n = 0; n < 3; n += 1) await life();
        return batches;
      }),
    );
    expect(Math.max(...worked)).toBeGreaterThan(0);
    expect(await deadlocks()).toBe(before);

    function refusal(error: unknown): false {
      if (!CastellanError.is(error, "NOT_OWNER")) throw error;
      return false;
    }

    function spent(session: string): Change {
      return { type: "spent", supervisor: "s", session, day: "2026-01-01", models: [] };
    }

    async function deadlocks(): Promise<unknown> {
      return (await server.sql("select deadlocks from pg_stat_database where datname = 'postgres'"))[0]?.["deadlocks"];
    }
  });

  it("is repeated under the same epoch after its answer was lost", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const where = server.fresh(proxy.port);
    const engine = open(where);
    await engine.join(node("a"));
    for (const when of ["before", "after"] as const) {
      proxy.cutAtCommit(when);
      await expect(engine.claim("a", KEY)).rejects.toMatchObject({
        code: "DATABASE_UNAVAILABLE",
        details: { reason: "unreachable" },
      });
      expect(await engine.claim("a", KEY)).toEqual({ taken: true, epoch: 1 });
    }
  });

  it("waits for the owner's pending write, and for no other", async () => {
    const where = server.fresh();
    const engine = open(where);
    await engine.join(node("a"));
    await engine.claim("a", KEY);
    const unlock = await openTransaction(server, `select from ${where.schema}.globals where key = '${KEY}' for share`);
    await engine.join(node("b"));
    await engine.claim("b", '["global","b"]');
    await engine.leave("a");
    const claim = engine.claim("b", KEY);
    await waitForLocks(server, "globals");
    await unlock();
    expect(await claim).toEqual({ taken: true, epoch: 2 });
  });
});

describe("postgresEngine renew", () => {
  it.each([0, 600_000, -600_000])("measures a clock that is %d ms ahead of the database's", async (ms) => {
    const engine = open(server.fresh(), { ...systemClock, now: () => Date.now() + ms });
    await engine.join(node("a"));
    expect(engine.skew).toBeUndefined();
    await engine.renew("a", IDLE);
    const { aheadMs = Number.NaN, withinMs = Number.NaN } = engine.skew ?? {};
    // Both run on this machine.
    expect(Math.abs(aheadMs - ms)).toBeLessThanOrEqual(withinMs + 5);
  });

  it("succeeds while every other connection is blocked", async () => {
    const where = server.fresh();
    const engine = open(where);
    await engine.join(node("a"));
    await engine.claim("a", KEY);
    const unlock = await openTransaction(server, `select from ${where.schema}.globals for update`);
    const claims = Array.from({ length: 10 }, () => engine.claim("a", KEY));
    await waitForLocks(server, "globals", 4);
    expect(await engine.renew("a", IDLE)).toBe(true);
    await unlock();
    expect((await Promise.all(claims)).every(({ taken }) => taken)).toBe(true);
  });

  it("rejects after its timeout, and uses another connection next time", async () => {
    const proxy = await PostgresProxy.start(server.port);
    onTestFinished(() => proxy.stop());
    const clock = new SimulatedClock();
    const engine = open({ ...server.fresh(proxy.port), renewTimeoutMs: 700 }, clock);
    await engine.join(node("a"));
    expect(await engine.renew("a", IDLE)).toBe(true);
    expect(clock.timers).toBe(0);
    proxy.hold();
    const late = engine.renew("a", IDLE);
    const refused = expect(late).rejects.toMatchObject({
      code: "DATABASE_UNAVAILABLE",
      details: { reason: "unreachable" },
      message: expect.stringContaining("700 ms"),
    });
    await clock.advance(700);
    await refused;
    proxy.resume();
    expect(await engine.renew("a", IDLE)).toBe(true);
  });

  it("rejects while the server is down, and succeeds once it is back", async () => {
    const engine = open(server.fresh());
    await engine.join(node("a", { staleMs: 60_000 }));
    await engine.claim("a", KEY);
    await engine.renew("a", IDLE);
    for (const how of ["stop", "crash"] as const) {
      await server.end(how);
      const unreachable = { code: "DATABASE_UNAVAILABLE", details: { reason: "unreachable" } };
      await expect(engine.renew("a", IDLE)).rejects.toMatchObject(unreachable);
      await expect(engine.ownerOf(KEY)).rejects.toMatchObject(unreachable);
      await server.start();
      expect(await engine.renew("a", IDLE)).toBe(true);
      expect(await engine.claim("a", KEY)).toEqual({ taken: true, epoch: 1 });
    }
  });
});

describe("postgresEngine listen", () => {
  it("reports leaves, releases and lost nodes, and nothing of another cluster", async () => {
    const where = server.fresh();
    const [engine, other] = [open({ ...where, listen: server.url() }), open(where)];
    const heard = hearing(engine);
    await heard.next();
    await other.join(node("a"));
    await other.join(node("b", { staleMs: 60_000 }));
    await other.claim("a", KEY);
    const released = heard.next();
    await other.release("a", KEY, 1);
    await released;
    await other.claim("a", KEY);
    await advance(server, where.schema, 6_000);
    const ended = heard.next();
    await other.claim("b", KEY);
    await ended;
    const left = heard.next();
    await other.leave("b");
    await left;
    const elsewhere = open(server.fresh());
    await elsewhere.join(node("c"));
    let news = 0;
    onTestFinished(engine.listen(() => (news += 1)));
    await elsewhere.leave("c");
    const last = heard.next();
    await other.join(node("d"));
    await other.leave("d");
    await last;
    expect(news).toBe(1);
  });

  it("reports again after its connection was cut", async () => {
    const where = server.fresh();
    const clock = new SimulatedClock();
    const engine = open({ ...where, listen: server.url() }, clock);
    const heard = hearing(engine);
    await heard.next();
    await server.cutConnections();
    await expect.poll(() => clock.timers).toBe(1);
    const again = heard.next();
    await clock.advance(1_000);
    await again;
    const other = open(where);
    await other.join(node("a"));
    const left = heard.next();
    await other.leave("a");
    await left;
  });

  it("does no harm when its server is unreachable", async () => {
    const clock = new SimulatedClock();
    const engine = open({ ...server.fresh(), listen: server.url({ port: 1 }) }, clock);
    const stop = engine.listen(() => {});
    await expect.poll(() => clock.timers).toBe(1);
    await engine.join(node("a"));
    expect(await engine.renew("a", IDLE)).toBe(true);
    stop();
    expect(clock.timers).toBe(0);
  });
});

it("postgresEngine: works behind a pooler that gives each transaction another session", async () => {
  const pooler = await TransactionPooler.start(server.url(), 3);
  const where = server.fresh(pooler.port);
  const engines = [open({ ...where, listen: where.postgres }), open(where)] as const;
  onTestFinished(engines[0].listen(() => {}));
  await Promise.all(["a", "b"].map((boot, at) => engines[at as 0 | 1].join(node(boot))));
  const keys = Array.from({ length: 20 }, (_, n) => `["global",${n}]`);
  const claims = await Promise.all(keys.flatMap((key) => [engines[0].claim("a", key), engines[1].claim("b", key)]));
  expect(claims.filter(({ taken }) => taken)).toHaveLength(20);
  const renewed = await Promise.all([engines[0].renew("a", IDLE), engines[1].renew("b", IDLE)]);
  expect(renewed).toEqual([true, true]);
  await engines[0].leave("a");
  const [rest] = await Promise.all([Promise.all(keys.map((key) => engines[1].claim("b", key)))]);
  expect(rest.every(({ taken }) => taken)).toBe(true);
  expect(new Set((await engines[1].sessions("")).map(({ boot }) => boot))).toEqual(new Set(["b"]));
  await Promise.all(engines.map((engine) => engine.close()));
  await pooler.stop();
});

it("postgresEngine: forgets ended nodes after an hour unless they still own sessions, and ends nodes that were silent for an hour", async () => {
  const where = server.fresh();
  const engine = open(where);
  for (const boot of ["left", "owner", "silent"]) await engine.join(node(boot));
  await engine.claim("owner", KEY);
  await engine.leave("left");
  await engine.leave("owner");
  const boots = async (): Promise<unknown[]> =>
    (await server.sql(`select boot from ${where.schema}.nodes order by boot`)).map(({ boot }) => boot);
  await advance(server, where.schema, 1_800_000);
  await engine.join(node("b", { staleMs: 60_000 }));
  expect(await boots()).toEqual(["b", "left", "owner", "silent"]);
  await advance(server, where.schema, 1_900_000);
  await engine.join(node("c"));
  expect(await boots()).toEqual(["b", "c", "owner", "silent"]);
  expect((await engine.nodes()).map(({ boot }) => boot)).toEqual(["b", "c"]);
  await engine.renew("c", IDLE);
  await engine.claim("c", KEY);
  await advance(server, where.schema, 4_000_000);
  await engine.join(node("d"));
  expect(await boots()).toEqual(["b", "c", "d"]);
});

it("postgresEngine: divides a limit of running turns between the living nodes", async () => {
  const where = server.fresh();
  const engines = [open(where), open(where)] as const;
  const [engine, other] = engines;
  await engine.join(node("a"));
  await engine.join(node("b", { staleMs: 60_000 }));
  expect(await engine.shareTurns?.("a", 3, 9, 0)).toEqual({ limit: 3, held: 3 });
  expect(await other.shareTurns?.("b", 3, 2, 0)).toEqual({ limit: 0, held: 0 });
  expect(await engine.shareTurns?.("a", 3, 9, 3)).toEqual({ limit: 2, held: 3 });
  expect(await engine.shareTurns?.("a", 3, 9, 1)).toEqual({ limit: 2, held: 2 });
  expect(await other.shareTurns?.("b", 3, 2, 0)).toEqual({ limit: 1, held: 1 });
  expect(await other.shareTurns?.("nobody", 3, 2, 0)).toEqual({ limit: 0, held: 0 });
  // The share of a dead node is free.
  await advance(server, where.schema, 6_000);
  expect(await other.shareTurns?.("b", 3, 9, 1)).toEqual({ limit: 3, held: 3 });
  const boots = Array.from({ length: 6 }, (_, n) => `n${n}`);
  for (const boot of boots) await engine.join(node(boot, { staleMs: 60_000 }));
  const shares = await Promise.all(boots.map((boot, n) => engines[n % 2 === 0 ? 0 : 1].shareTurns?.(boot, 7, 2, 0)));
  expect(shares.reduce((sum, share) => sum + (share?.held ?? 0), 0)).toBe(4);
});
