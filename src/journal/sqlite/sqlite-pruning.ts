import type { Retention } from "../model/journal.ts";
import type { Row } from "./sqlite-messages.ts";
import { SQL } from "./sqlite-statements.ts";

type Parameter = string | number | null;

/** The file to prune. */
interface Prunable {
  /** How many rows the next transaction may delete. */
  readonly rows: () => number;
  get(sql: string, ...parameters: Parameter[]): Promise<Row | undefined>;
  /** Deletes rows. Resolves with their number. */
  remove(sql: string, ...parameters: Parameter[]): Promise<number>;
}

/**
 * Deletes what need not be kept, in small transactions that let other writes in between. Resolves with the number of
 * deleted turns.
 */
export async function prune(file: Prunable, retention: Retention): Promise<number> {
  let sum = 0;
  for await (const session of sessionsWithTurns(file)) {
    const last = await lastToPrune(file, session, retention);
    sum += await removeAll(file, SQL.pruneTurns, session, last.endedAt, last.seq);
  }
  await removeAll(file, SQL.pruneApprovals, retention.endedSince);
  await removeAll(file, SQL.pruneDeliveries, retention.endedSince);
  return sum;
}

async function removeAll({ rows, remove }: Prunable, sql: string, ...parameters: Parameter[]): Promise<number> {
  for (let sum = 0; ; ) {
    const limit = rows();
    const gone = await remove(sql, ...parameters, limit);
    sum += gone;
    if (gone < limit) return sum;
  }
}

/** The last turn to delete; `seq` decides between turns that ended at the same time. */
interface LastToPrune {
  readonly endedAt: number;
  readonly seq: number;
}

async function lastToPrune(
  file: Prunable,
  session: string,
  { endedSince, turnsPerSession }: Retention,
): Promise<LastToPrune> {
  const byAge = { endedAt: endedSince, seq: 0 };
  if (turnsPerSession === Number.POSITIVE_INFINITY) return byAge;
  const row = await file.get(SQL.firstTooMany, session, turnsPerSession);
  const byCount = row === undefined ? byAge : { endedAt: Number(row["ended_at"]), seq: Number(row["seq"]) };
  return byCount.endedAt < endedSince ? byAge : byCount;
}

/** Yields sessions in order, one query each, so that no list has to be kept in memory. */
async function* sessionsWithTurns(file: Prunable): AsyncGenerator<string, void, void> {
  let row = await file.get(SQL.nextSessionWithTurns, "", null);
  while (row?.["session"] !== null && row !== undefined) {
    const session = String(row["session"]);
    yield session;
    row = await file.get(SQL.nextSessionWithTurns, session, session);
  }
}
