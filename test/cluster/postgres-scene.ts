import pg from "pg";
import { expect, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { OwnedEpochs } from "../../src/cluster/owned-epochs.ts";
import { postgresEngine } from "../../src/cluster/postgres/postgres-engine.ts";
import type { Engine } from "../../src/cluster/protocol/engine.ts";
import { toText } from "../../src/journal/model/stored-text.ts";
import type { PostgresServer } from "../journal/postgres-server.ts";
import { type EngineBench, node } from "./engine-conformance.ts";

export interface Place {
  readonly postgres: string;
  readonly schema: string;
}

/** Returns an empty engine in a schema of its own, with direct access to its tables. */
export async function postgresBench(server: PostgresServer, where: Place): Promise<EngineBench> {
  const options = { ...where, renewTimeoutMs: 5_000, listen: false } as const;
  const engines = [postgresEngine(options, systemClock), postgresEngine(options, systemClock)] as const;
  await engines[0].nodes();
  const { schema } = where;
  await server.empty(schema);
  const addJob = async (...[key, job, ...rest]: [string, string, number, number, boolean]): Promise<void> => {
    await server.sql(
      `insert into ${schema}.jobs (id, session, prompt, priority, due_at, created_at, terms, pooled)
       values ($1, $2, '', $3, extract(epoch from clock_timestamp()) * 1000 + $4, 0, '{}', $5)`,
      [toText(job), toText(key), ...rest],
    );
  };
  return {
    engines,
    advance: (ms) => advance(server, schema, ms),
    accepted: async (key, turn) => {
      await server.sql(
        `insert into ${schema}.turns (id, session, prompt, position, durable, accepted_at) values ($1, $2, '', 0, true, 0)`,
        [toText(turn), toText(key)],
      );
    },
    described: async (key, { createdAt, title, labels = {}, archivedAt }) => {
      const stored = Object.entries(labels).map(([label, value]) => [toText(label), toText(value)] as const);
      await server.sql(
        `insert into ${schema}.sessions (key, supervisor, conversation_id, memory, saved_at, created_at, title, labels, archived_at)
         values ($1, '', '', '{}', 0, $2, $3, $4, $5)
         on conflict (key) do update set labels = excluded.labels, archived_at = excluded.archived_at`,
        [toText(key), createdAt, title, stored.length === 0 ? null : Object.fromEntries(stored), archivedAt],
      );
      for (const [label, value] of stored) {
        await server.sql(`insert into ${schema}.session_labels values ($1, $2, $3) on conflict do nothing`, [
          label,
          value,
          toText(key),
        ]);
      }
    },
    enqueued: async (key, job, priority = 0, dueInMs = 0) => await addJob(key, job, priority, dueInMs, true),
    scheduled: async (key, job, dueInMs) => await addJob(key, job, 0, dueInMs, false),
    dropped: async (job) => {
      await server.sql(`delete from ${schema}.jobs where id = $1`, [toText(job)]);
    },
    ended: async (turn) => {
      await server.sql(`update ${schema}.turns set state = 'completed', ended_at = 1 where id = $1`, [toText(turn)]);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(engines.map((engine) => engine.close()));
    },
  };
}

/** One run of a node, with the sessions that it owns. */
export interface OwningNode {
  readonly boot: string;
  readonly engine: Engine;
  readonly owned: OwnedEpochs;
}

/** Joins a node that owns these sessions and counts as alive for a minute. */
export async function owningNode(where: Place, boot: string, ...keys: readonly string[]): Promise<OwningNode> {
  const engine = postgresEngine({ ...where, renewTimeoutMs: 5_000, listen: false }, systemClock);
  onTestFinished(() => engine.close());
  await engine.join(node(boot, { staleMs: 60_000 }));
  const made = { boot, engine, owned: new OwnedEpochs() };
  for (const key of keys) await own(made, key);
  return made;
}

/** Claims a session for the node, or throws. */
export async function own({ boot, engine, owned }: OwningNode, key: string): Promise<void> {
  const claim = await engine.claim(boot, key);
  if (!claim.taken) throw new Error(`${boot} could not claim ${key}`);
  owned.take(key, claim.epoch);
}

/** Advances the time of all nodes of a cluster. */
export async function advance(server: PostgresServer, schema: string, ms: number): Promise<void> {
  const by = "$1 * interval '1 millisecond'";
  await server.sql(`update ${schema}.nodes set renewed_at = renewed_at - ${by}, ended_at = ended_at - ${by}`, [ms]);
}

/**
 * Runs a statement in a transaction that stays open. Returns a function that ends the transaction, by default with a
 * rollback.
 */
export async function openTransaction(
  server: PostgresServer,
  statement: string,
): Promise<(how?: "rollback" | "commit") => Promise<void>> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query("begin");
  await client.query(statement);
  return async (how = "rollback") => {
    await client.query(how);
    await client.end();
  };
}

/** Resolves once that many statements with these words wait for a lock. */
export async function waitForLocks(server: PostgresServer, words: string, count = 1): Promise<void> {
  const waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and query ~ $1";
  await expect.poll(async () => (await server.sql(waiting, [words])).length, { interval: 20 }).toBe(count);
}

/** Resolves once a transaction has executed a statement with these words, and waits for its client. */
export async function waitForClient(server: PostgresServer, words: string): Promise<void> {
  const waiting = "select from pg_stat_activity where state = 'idle in transaction' and query ~ $1";
  await expect.poll(async () => (await server.sql(waiting, [words])).length, { interval: 20 }).toBe(1);
}
