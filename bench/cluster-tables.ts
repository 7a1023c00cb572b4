import { setTimeout as delay } from "node:timers/promises";
import { RealCluster } from "../test/cluster/real-cluster.ts";
import type { PostgresServer } from "../test/journal/postgres-server.ts";
import { FarClaude } from "./far-claude.ts";
import { timed } from "./rounds.ts";

const SESSIONS = 200;
const CALLERS = 32;
const PROCESSES = 40;

/** How long a node that has just started may take to delete what is too old. */
const PRUNED_MS = 900_000;

/** Longer ago than a journal keeps turns and events by default. */
const LONG_AGO = "31::double precision * 24 * 3600 * 1000";

/**
 * Runs many turns of global sessions on three nodes, makes them old, and runs as many again after a node has deleted the old ones. Returns
 * the sizes of the tables after each step.
 */
export async function tables(server: PostgresServer, turns: number): Promise<Record<string, string>> {
  await using far = await FarClaude.start();
  const options = { server, claude: { far: far.path }, cluster: { maxProcesses: PROCESSES } } as const;
  await using cluster = await RealCluster.start(options, "one", "two", "three");
  const figures: Record<string, string> = { turns: `${turns}, of ${SESSIONS} sessions` };
  const first = await runTurns(cluster, turns);
  figures["turns/s"] = first.toFixed(0);
  figures["after these turns"] = await sizesOf(cluster);
  await makeOld(cluster);
  const took = await timed(() => pruned(cluster));
  figures["deletion of all, s"] = (took / 1_000).toFixed(1);
  figures["after the deletion"] = await sizesOf(cluster);
  figures["vacuum, s"] = ((await timed(() => vacuum(cluster))) / 1_000).toFixed(1);
  figures["after vacuum"] = await sizesOf(cluster);
  const again = await runTurns(cluster, turns);
  figures["turns/s, again"] = again.toFixed(0);
  figures["after as many turns again"] = await sizesOf(cluster);
  return figures;
}

/** Returns the turns per second. */
async function runTurns(cluster: RealCluster, turns: number): Promise<number> {
  const numbers = Array.from({ length: turns }, (_, at) => at).values();
  const caller = async (): Promise<void> => {
    for (const at of numbers) await cluster.client.query(cluster.nameOf("chat", `t${at % SESSIONS}`), `Turn ${at}.`);
  };
  const ms = await timed(() => Promise.all(Array.from({ length: CALLERS }, caller)));
  return (1_000 * turns) / ms;
}

async function makeOld({ server, schema }: RealCluster): Promise<void> {
  await server.sql(
    `update ${schema}.turns set accepted_at = accepted_at - ${LONG_AGO}, ended_at = ended_at - ${LONG_AGO}`,
  );
  await server.sql(`update ${schema}.events set earliest = earliest - ${LONG_AGO}, latest = latest - ${LONG_AGO}`);
  await vacuum({ server, schema });
}

/** A node deletes what is old when it starts. */
async function pruned(cluster: RealCluster): Promise<void> {
  await cluster.join("four");
  const { server, schema } = cluster;
  const until = performance.now() + PRUNED_MS;
  while (performance.now() < until) {
    const [row] = await server.sql<{ readonly n: string }>(`select count(*) as n from ${schema}.turns`);
    if (Number(row?.n) === 0) return;
    await delay(100);
  }
  throw new Error("The old turns were not deleted.");
}

async function vacuum({ server, schema }: Pick<RealCluster, "server" | "schema">): Promise<void> {
  for (const name of await tablesOf(server, schema)) await server.sql(`vacuum analyze ${schema}.${name}`);
}

async function tablesOf(server: PostgresServer, schema: string): Promise<readonly string[]> {
  const rows = await server.sql<{ readonly name: string }>(
    "select tablename as name from pg_tables where schemaname = $1",
    [schema],
  );
  return rows.map(({ name }) => name);
}

/** The tables larger than a megabyte, with their indexes, and the dead rows of all. */
async function sizesOf({ server, schema }: RealCluster): Promise<string> {
  const rows = await server.sql<{ readonly name: string; readonly mb: string; readonly dead: string }>(
    `select relname as name, (pg_total_relation_size(relid) / 1e6)::numeric(12, 1) as mb, n_dead_tup as dead
     from pg_stat_user_tables where schemaname = $1 order by pg_total_relation_size(relid) desc`,
    [schema],
  );
  const large = rows.filter(({ mb }) => Number(mb) >= 1).map(({ name, mb }) => `${name} ${mb}`);
  const all = rows.reduce((sum, { mb }) => sum + Number(mb), 0);
  const dead = rows.reduce((sum, row) => sum + Number(row.dead), 0);
  return `${all.toFixed(1)} MB (${large.join(", ")}), ${dead} dead rows`;
}
