import { systemClock } from "../src/clock.ts";
import { postgresEngine } from "../src/cluster/postgres/postgres-engine.ts";
import type { Engine } from "../src/cluster/protocol/engine.ts";
import { ALL_KEYS } from "../src/journal/model/session-list.ts";
import { nameKey } from "../src/names.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { timed } from "./rounds.ts";
import { figureOf } from "./spread.ts";

const NODES = 100;
/** Turns that have not ended: a hundred on each node. */
const UNFINISHED = 10_000;
const ROUNDS = 25;

/**
 * Measures what the engine's statements take with a hundred nodes, many sessions and ten thousand unfinished turns in the
 * tables. The rows are made by SQL; nobody runs turns.
 */
export async function large(server: PostgresServer, names: number): Promise<Record<string, string>> {
  const place = server.fresh();
  const engine = postgresEngine({ ...place, renewTimeoutMs: 60_000, listen: false }, systemClock);
  try {
    for (let at = 0; at < NODES; at++) await engine.join(nodeOf(at));
    const filled = await timed(() => fill(server, place.schema, names));
    const keyOf = (at: number): string => nameKey(["global", "chat", `n${at}`]);
    const picked = (round: number): string => keyOf((round * 7_919) % names);
    const renew = (round: number) => engine.renew(`node-${round % NODES}`, { load: 0.5, draining: false });
    return {
      rows: `${NODES} nodes, ${names} sessions, ${UNFINISHED} unfinished turns, made in ${(filled / 1_000).toFixed(0)} s`,
      "size, MB": await sizeOf(server, place.schema),
      "renewal of a node, ms": await median(renew),
      "search for sessions without an owner, ms": await median(() => engine.unattended([], 100)),
      "list of the nodes, ms": await median(() => engine.nodes()),
      "owner of a session, ms": await median((round) => engine.ownerOf(picked(round))),
      "claim of a free session, ms": await median((round) => engine.claim("node-0", keyOf(names + round))),
      "page of 100 sessions, ms": await median((round) =>
        engine.findSessions({ range: ALL_KEYS, after: picked(round), limit: 100 }),
      ),
      "100 nodes that renew and search at once, ms": await median((round) => beat(engine, round)),
    };
  } finally {
    await engine.close();
  }
}

function nodeOf(at: number): Parameters<Engine["join"]>[0] {
  return {
    boot: `node-${at}`,
    name: `node-${at}`,
    address: `http://127.0.0.1:${at + 1}`,
    protocols: [1, 1],
    release: "0",
    labels: {},
    hosts: { sessions: [], templates: ["chat"], pools: [] },
    maxProcesses: 40,
    staleMs: 3_600_000,
  };
}

/** Makes the sessions, each with an owner, and the unfinished turns. */
async function fill(server: PostgresServer, schema: string, names: number): Promise<void> {
  const key = `format('["global","chat","n%s"]', n)`;
  const numbers = (to: number): string => `from generate_series(0, ${to - 1}) as n`;
  await server.sql(
    `insert into ${schema}.globals (key, owner, epoch) select ${key}, 'node-' || n % ${NODES}, 1 ${numbers(names)}`,
  );
  await server.sql(
    `insert into ${schema}.sessions (key, supervisor, conversation_id, memory, saved_at)
     select ${key}, '', gen_random_uuid()::text, '{}', 0 ${numbers(names)}`,
  );
  await server.sql(
    `insert into ${schema}.turns (id, session, prompt, position, durable, accepted_at)
     select gen_random_uuid()::text, ${key}, 'Hello', 1, true, 0 ${numbers(Math.min(UNFINISHED, names))}`,
  );
  for (const table of ["globals", "sessions", "turns", "nodes"]) await server.sql(`vacuum analyze ${schema}.${table}`);
}

/** What all nodes do in one beat. */
async function beat(engine: Engine, round: number): Promise<void> {
  await Promise.all(
    Array.from({ length: NODES }, async (_, at) => {
      await engine.renew(`node-${at}`, { load: round / ROUNDS, draining: false });
      await engine.unattended([], 100);
    }),
  );
}

async function median(work: (round: number) => Promise<unknown>): Promise<string> {
  const taken: number[] = [];
  for (let round = 0; round < ROUNDS; round++) taken.push(await timed(() => work(round)));
  return figureOf(taken, 1);
}

async function sizeOf(server: PostgresServer, schema: string): Promise<string> {
  const rows = await server.sql<{ readonly name: string; readonly mb: string }>(
    `select relname as name, (pg_total_relation_size(relid) / 1e6)::numeric(12, 0) as mb
     from pg_stat_user_tables where schemaname = $1 order by pg_total_relation_size(relid) desc limit 3`,
    [schema],
  );
  return rows.map(({ name, mb }) => `${name} ${mb}`).join(", ");
}
