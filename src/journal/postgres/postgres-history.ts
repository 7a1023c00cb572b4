import { CastellanError } from "../../errors.ts";
import type { PostgresDatabase } from "./postgres-database.ts";

/*
 * A server that has failed over to a replica, or was put back to a backup, has another timeline than before; another server has another
 * identifier. The timeline is asked for where the next write goes: what the control file says of it lags behind. Anybody may ask.
 */
const SYSTEM = "(select system_identifier::text from pg_control_system())";
const TIMELINE = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

/** From the one that tells most to one that tells nothing, for databases that only speak PostgreSQL's protocol. */
const EXPRESSIONS = [`${SYSTEM} || '/' || ${TIMELINE}`, TIMELINE, "null::text"];

/**
 * An expression of SQL that tells the history of a database from others; it is null if the database cannot say.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if the database does not answer
 */
export async function historyExpression(database: PostgresDatabase): Promise<string> {
  for (const expression of EXPRESSIONS) {
    try {
      await database.read(`select ${expression}`);
      return expression;
    } catch (error) {
      // That there is no such function, or that it may not be called, is an answer.
      if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE") || error.details.reason === "unreachable") throw error;
    }
  }
  return "null::text";
}
