import type { PostgresDatabase, Query } from "./postgres-database.ts";
import { stateOf, unavailable, wordsOf } from "./postgres-fault.ts";

/** What brings tables from one version to the next. */
export interface PostgresStep {
  readonly sql: string;
  /**
   * Whether releases that know only the steps before can work with the tables all the same: nothing that they read is gone or
   * means something else, and what they write is still taken. Such a step may be made while they run. Default: `false`.
   */
  readonly additive?: boolean;
}

/** Tables that belong together, and how they came to be. */
export interface PostgresTables {
  /** Tells them from the other ones in the same schema. */
  readonly name: string;
  /** What brings them from each version to the next one, from nothing on. Only ever added to. */
  readonly steps: readonly PostgresStep[];
}

/** Any number that others who use the database are unlikely to lock. */
const MIGRATION_LOCK = 0x43_61_73_74;

/** What PostgreSQL says if there is already a table, an index or a column of that name, or none where one is looked for. */
const IN_THE_WAY = /^(42P07|42701|42703|42710)$/;

/**
 * Makes the tables, or brings them to the newest version. Any number of applications may do so at once, also of different
 * releases: one that is older works with what a newer one has made as long as all that it does not know is additive.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, with `foreign` as the reason if they are of a newer version or not ours
 */
export async function prepare(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  const [state] = await database.read<{ encoding: string; begun: boolean }>(
    `select current_setting('server_encoding') as encoding, to_regclass('castellan_version') is not null as begun`,
  );
  if (state?.encoding !== "UTF8") {
    const what = `the database has the encoding ${state?.encoding}, which does not know all characters`;
    const advice = "Create a database with the encoding UTF8.";
    throw unavailable(database.subject, "refused", what, { applied: false, advice });
  }
  // Looking first spares all but the first application the permission to create anything.
  if (state.begun) {
    const [found] = await database.read<VersionRow>(VERSION, [tables.name]);
    if (isCurrent(database, tables, found)) return;
  }
  await migrate(database, tables);
}

/**
 * How far tables have come. Releases that came before additive steps know only `version`, and ask for one that is not above
 * the number of steps they know; so it says the lowest that can work with the tables, and not how many steps were made.
 */
interface VersionRow {
  /** How many steps a release has to know at least. */
  readonly version: number;
  /** How many were made; `null` if that is as many. */
  readonly made: number | null;
}

/** Finds a row also where the table has no column `made` yet. */
const VERSION = `select version, (to_json(castellan_version)->>'made')::integer as made from castellan_version
  where name = $1`;

/** The lock is held until the transaction ends; whoever waits for it finds the work done. */
async function migrate(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  await database.transaction(async (query) => {
    await query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    try {
      // `if not exists` would ask for the permission to create schemas even if there is nothing to create.
      const [found] = await query("select from pg_namespace where nspname = $1", [database.schema]);
      if (found === undefined) await query(`create schema "${database.schema}"`);
      await query("create table if not exists castellan_version (name text primary key, version integer not null)");
      const [row] = await query<VersionRow>(VERSION, [tables.name]);
      if (isCurrent(database, tables, row)) return;
      await make(query, tables, row);
    } catch (error) {
      const { cause } = error as Error;
      if (!IN_THE_WAY.test(stateOf(cause) ?? "")) throw error;
      const what = `the schema holds tables of somebody else: ${wordsOf(cause)}`;
      throw unavailable(database.subject, "foreign", what, { applied: false, cause });
    }
  });
}

/** Makes the steps that are missing, and writes down how far the tables have come. */
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
  const what = `its tables are of version ${needed}, made by a newer release of Castellan; this one knows those up to ${steps.length}`;
  const advice = "They are left as they are. Use that release or a newer one, or choose another schema.";
  throw unavailable(subject, "foreign", what, { applied: false, advice });
}

function madeOf(row: VersionRow | undefined): number {
  return row?.made ?? row?.version ?? 0;
}
