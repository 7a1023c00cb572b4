import { PostgresDatabase } from "../../journal/postgres/postgres-database.ts";
import { runGrants } from "../../journal/postgres/postgres-grants.ts";
import { JOURNAL_TABLES } from "../../journal/postgres/postgres-journal-tables.ts";
import { type PostgresOptions, postgresLocation } from "../../journal/postgres/postgres-location.ts";
import { prepare } from "../../journal/postgres/postgres-schema.ts";
import { TRANSCRIPT_TABLES } from "../../journal/postgres/postgres-transcripts.ts";
import { CLUSTER_TABLES } from "./cluster-tables.ts";

/** The tables to migrate, and who uses them. */
export interface MigrationOptions extends PostgresOptions {
  /**
   * A role that runs Castellan on the tables, and may neither create nor change them: it gets `usage` on the schema,
   * `select`, `insert`, `update` and `delete` on the tables, and `execute` on the functions. Default: none.
   */
  readonly grantTo?: string;
}

/** What a migration has done. */
export interface Migration {
  /** The schema and its database, without user and password. */
  readonly location: string;
  /** The sets of tables that were created or changed; empty if all were up to date. */
  readonly changed: readonly ("journal" | "cluster" | "transcripts")[];
}

/** A migration may rewrite large tables, and waits for running transactions. In milliseconds. */
const STATEMENT_MS = 60 * 60_000;

/**
 * Creates or migrates the tables of a schema, as the role that will own them: those of a journal, of a cluster, and of
 * `postgresSessionStore`. An application does the same at its start if its role may. Needs the package `pg`. Safe with any
 * number of applications at once.
 *
 * @throws CastellanError `INVALID_OPTIONS`; `DATABASE_UNAVAILABLE`, with the reason `denied` if the role may not do that,
 * and `foreign` if the tables belong to a newer release or to another program
 * @example
 * await migratePostgres({ postgres: process.env.OWNER_DATABASE_URL, grantTo: "app" });
 */
export async function migratePostgres({ grantTo, ...where }: MigrationOptions): Promise<Migration> {
  const location = postgresLocation(where);
  const database = await PostgresDatabase.load(location, "database", { timeoutMs: STATEMENT_MS, connections: 1 });
  try {
    const changed: Migration["changed"][number][] = [];
    if (await prepare(database, JOURNAL_TABLES)) changed.push("journal");
    if (await prepare(database, CLUSTER_TABLES)) changed.push("cluster");
    if (await prepare(database, TRANSCRIPT_TABLES)) changed.push("transcripts");
    if (grantTo !== undefined) {
      const sets = [JOURNAL_TABLES, CLUSTER_TABLES, TRANSCRIPT_TABLES];
      await database.transaction((query) => runGrants(query, location.schema, grantTo, sets));
    }
    return { location: location.label, changed };
  } finally {
    await database.close();
  }
}
