import { CastellanError } from "../../errors.ts";
import { type DatabaseTerms, PostgresDatabase } from "./postgres-database.ts";
import { notOpen, type PostgresSubject, type PostgresUse, subjectOf } from "./postgres-fault.ts";
import type { PostgresLocation } from "./postgres-location.ts";
import { type PostgresTables, prepare } from "./postgres-schema.ts";

/** A connected database with its tables. */
export interface ReadyDatabase {
  readonly database: PostgresDatabase;
  /** A SQL expression for the database's history, see `historyExpression`. */
  readonly history: string;
}

/** A database that connects and creates its tables on first use. */
export class LazyDatabase {
  readonly #open: () => Promise<ReadyDatabase>;
  readonly #subject: PostgresSubject;
  #opening: Promise<ReadyDatabase> | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    location: PostgresLocation,
    use: Exclude<PostgresUse, "journal">,
    terms: DatabaseTerms,
    tables: readonly PostgresTables[],
  ) {
    this.#subject = subjectOf(use, location);
    this.#open = async () => {
      const database = await PostgresDatabase.load(location, use, terms);
      try {
        for (const some of tables) await prepare(database, some);
        return { database, history: await historyExpression(database) };
      } catch (error) {
        await database.close();
        throw error;
      }
    };
  }

  /**
   * Connects on the first call; after a failure the next call tries again.
   *
   * @throws CastellanError `DATABASE_UNAVAILABLE`
   */
  async use(): Promise<PostgresDatabase> {
    return (await this.useWithHistory()).database;
  }

  /** As {@link LazyDatabase.use}. */
  async useWithHistory(): Promise<ReadyDatabase> {
    if (this.#closed !== undefined && this.#opening === undefined) throw notOpen(this.#subject);
    this.#opening ??= this.#open();
    const attempt = this.#opening;
    try {
      return await attempt;
    } catch (error) {
      if (this.#opening === attempt) this.#opening = undefined;
      throw error;
    }
  }

  /** Waits for running transactions. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    const used = await this.#opening?.catch(() => undefined);
    await used?.database.close();
  }
}

/*
 * A failover or a restore changes the timeline; another server has another system identifier. The timeline is read
 * where the next write goes, because the control file lags behind. Any role may read both.
 */
const SYSTEM = "(select system_identifier::text from pg_control_system())";
const TIMELINE = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

/** Most specific first; the last ones are for databases that only speak PostgreSQL's protocol. */
const EXPRESSIONS = [`${SYSTEM} || '/' || ${TIMELINE}`, TIMELINE, "null::text"];

/**
 * Returns a SQL expression that identifies the history of a database; it is null if the database cannot tell.
 *
 * @throws CastellanError `DATABASE_UNAVAILABLE` if the database does not answer
 */
export async function historyExpression(database: PostgresDatabase): Promise<string> {
  for (const expression of EXPRESSIONS) {
    try {
      await database.read(`select ${expression}`);
      return expression;
    } catch (error) {
      // A missing function, or one that is not allowed, is an answer.
      if (!CastellanError.is(error, "DATABASE_UNAVAILABLE") || error.details.reason === "unreachable") throw error;
    }
  }
  return "null::text";
}
