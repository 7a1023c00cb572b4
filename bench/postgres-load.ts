import { setTimeout as delay } from "node:timers/promises";
import type { PostgresServer } from "../test/journal/postgres-server.ts";

/** Idle backends report their statistics with a delay of ten seconds. */
const SETTLE_MS = 12_000;

/** Returns how many transactions a server has ended, once its backends, idle by now, have reported them. */
export async function transactionsOf(server: PostgresServer): Promise<number> {
  await delay(SETTLE_MS);
  return await reportedBy(server);
}

/** Returns the transactions per second of a server whose load is steady. */
export async function transactionRate(server: PostgresServer, overMs: number): Promise<number> {
  const first = await transactionsOf(server);
  const since = performance.now();
  await delay(overMs);
  return (1_000 * ((await reportedBy(server)) - first)) / (performance.now() - since);
}

async function reportedBy(server: PostgresServer): Promise<number> {
  const [row] = await server.sql<{ readonly n: string }>(
    "select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()",
  );
  return Number(row?.n);
}
