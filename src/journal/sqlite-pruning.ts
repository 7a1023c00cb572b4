import type { Retention } from "./journal.ts";
import { CHUNK, type Statements } from "./sqlite-statements.ts";

/**
 * Forgets what need not be kept, one small transaction after the other, and yields after each how many turns it was, so that
 * the caller can let others in between.
 */
export function* pruning(statements: Statements, retention: Retention): Generator<number, void, void> {
  for (const session of sessionsWithTurns(statements)) yield* pruneTurns(statements, session, retention);
  while (Number(statements.pruneApprovals.run(retention.endedSince).changes) === CHUNK) yield 0;
}

function* pruneTurns(statements: Statements, session: string, retention: Retention): Generator<number, void, void> {
  const last = lastToForget(statements, session, retention);
  for (;;) {
    const gone = Number(statements.pruneTurns.run(session, last.endedAt, last.seq).changes);
    yield gone;
    if (gone < CHUNK) return;
  }
}

/** All that ended up to then need not be kept; of those that ended at the same time, those that came up to this one. */
interface LastToForget {
  readonly endedAt: number;
  readonly seq: number;
}

function lastToForget(statements: Statements, session: string, retention: Retention): LastToForget {
  const { endedSince, turnsPerSession } = retention;
  const byAge = { endedAt: endedSince, seq: 0 };
  if (turnsPerSession === Number.POSITIVE_INFINITY) return byAge;
  const row = statements.firstTooMany.get(session, turnsPerSession);
  const byCount = row === undefined ? byAge : { endedAt: Number(row["ended_at"]), seq: Number(row["seq"]) };
  return byCount.endedAt < endedSince ? byAge : byCount;
}

/** In order, and found one after the other, so that the list need not be held while it changes. */
function* sessionsWithTurns(statements: Statements): Generator<string, void, void> {
  let row = statements.nextSessionWithTurns.get("", null);
  while (row?.["session"] !== null && row !== undefined) {
    const session = String(row["session"]);
    yield session;
    row = statements.nextSessionWithTurns.get(session, session);
  }
}
