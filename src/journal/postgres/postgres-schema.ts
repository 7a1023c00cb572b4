import type { PostgresDatabase, Query } from "./postgres-database.ts";
import { messageOf, stateOf, unavailable } from "./postgres-fault.ts";

/** A migration to the next version. */
export interface PostgresStep {
  readonly sql: string;
  /**
   * Whether releases that know only the earlier steps still work: nothing that they read is gone or has another
   * meaning, and their writes are still accepted. An additive step may run while they do. Default: `false`.
   */
  readonly additive?: boolean;
}

/** Tables that belong together, and their migrations. */
export interface PostgresTables {
  /** Unique in the schema. */
  readonly name: string;
  /** The migrations, from an empty schema. Append-only. */
  readonly steps: readonly PostgresStep[];
}

/** An arbitrary key for the advisory lock. */
const MIGRATION_LOCK = 0x43_61_73_74;

/** SQLSTATEs for a table, column or index that already exists, or is missing. */
const IN_THE_WAY = /^(42P07|42701|42703|42710)$/;

/**
 * Creates the tables or migrates them to the newest version. Safe with any number of applications at once, also of
 * different releases: an earlier one works with newer tables if all later steps are additive.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, with the reason `foreign` if the tables need
 * a newer release or are not Castellan's
 */
export async function prepare(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  const [state] = await database.read<{ encoding: string; begun: boolean }>(
    `select current_setting('server_encoding') as encoding, to_regclass('castellan_version') is not null as begun`,
  );
  if (state?.encoding !== "UTF8") {
    const what = `the database has the encoding ${state?.encoding}, which cannot represent all characters`;
    const advice = "Create a database with the encoding UTF8.";
    throw unavailable(database.subject, "refused", what, { applied: false, advice });
  }
  // Looks first, so that only the first application needs permission to create anything.
  if (state.begun) {
    const [found] = await database.read<VersionRow>(VERSION, [tables.name]);
    if (isCurrent(database, tables, found)) return;
  }
  await migrate(database, tables);
}

/**
 * The version of tables. Releases before additive steps know only `version`, and require it to be at most their number
 * of steps. So it is the lowest release that works, not the number of steps.
 */
interface VersionRow {
  /** Number of steps that a release must know. */
  readonly version: number;
  /** Number of applied steps; null if that equals `version`. */
  readonly made: number | null;
}

/** Works also before the table has the column `made`. */
const VERSION = `select version, (to_json(castellan_version)->>'made')::integer as made from castellan_version
  where name = $1`;

/** The lock lasts until the transaction ends; a waiting application then finds the work done. */
async function migrate(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  await database.transaction(async (query) => {
    await query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    try {
      // `if not exists` needs the permission to create a schema even if the schema exists.
      const [found] = await query("select from pg_namespace where nspname = $1", [database.schema]);
      if (found === undefined) await query(`create schema "${database.schema}"`);
      await query("create table if not exists castellan_version (name text primary key, version integer not null)");
      const [row] = await query<VersionRow>(VERSION, [tables.name]);
      if (isCurrent(database, tables, row)) return;
      await make(query, tables, row);
    } catch (error) {
      const { cause } = error as Error;
      if (!IN_THE_WAY.test(stateOf(cause) ?? "")) throw error;
      const what = `the schema holds tables of another program: ${messageOf(cause)}`;
      throw unavailable(database.subject, "foreign", what, { applied: false, cause });
    }
  });
}

/** Applies the missing steps, and records the version. */
async function make(query: Query, { name, steps }: PostgresTables, row: VersionRow | undefined): Promise<void> {
  for (const { sql } of steps.slice(madeOf(row))) await query(sql);
  const needed = steps.findLastIndex(({ additive = false }) => !additive) + 1;
  await query("alter table castellan_version add column if not exists made integer");
  await query(
    `insert into castellan_version (name, version, made) values ($1, $2, $3)
     on conflict (name) do update set version = excluded.version, made = excluded.made`,
    [name, needed, steps.length],
  );
}

function isCurrent({ subject }: PostgresDatabase, { steps }: PostgresTables, row: VersionRow | undefined): boolean {
  const needed = row?.version ?? 0;
  if (needed <= steps.length) return madeOf(row) >= steps.length;
  const what = `its tables are of version ${needed}, made by a newer release of Castellan; this release knows versions up to ${steps.length}`;
  const advice = "Castellan leaves them unchanged. Use that release or a newer one, or choose another schema.";
  throw unavailable(subject, "foreign", what, { applied: false, advice });
}

function madeOf(row: VersionRow | undefined): number {
  return row?.made ?? row?.version ?? 0;
}
