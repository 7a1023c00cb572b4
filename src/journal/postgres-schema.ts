import type { PostgresDatabase } from "./postgres-database.ts";
import { stateOf, unavailable, wordsOf } from "./postgres-fault.ts";

/** Tables that belong together, and how they came to be. */
export interface PostgresTables {
  /** Tells them from the other ones in the same schema. */
  readonly name: string;
  /** The statements that bring them from each version to the next one, from nothing on. Only ever added to. */
  readonly steps: readonly string[];
}

/** Any number that others who use the database are unlikely to lock. */
const MIGRATION_LOCK = 0x43_61_73_74;

/** What PostgreSQL says if there is already a table, an index or a column of that name, or none where one is looked for. */
const IN_THE_WAY = /^(42P07|42701|42703|42710)$/;

/**
 * Makes the tables, or brings them to the newest version. Any number of applications may do so at once.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`, with `foreign` as the reason if they are of a newer version or not ours
 */
export async function prepare(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  const [state] = await database.read<{ encoding: string; begun: boolean }>(
    `select current_setting('server_encoding') as encoding, to_regclass('castellan_version') is not null as begun`,
  );
  if (state?.encoding !== "UTF8") {
    const what = `the database has the encoding ${state?.encoding}, which does not know all characters`;
    const advice = "Create a database with the encoding UTF8.";
    throw unavailable(database.label, "refused", what, { applied: false, advice });
  }
  // Looking first spares all but the first application the permission to create anything.
  if (state.begun) {
    const found = await database.read<{ version: number }>(VERSION, [tables.name]);
    if (isCurrent(database, tables, found[0]?.version)) return;
  }
  await migrate(database, tables);
}

const VERSION = "select version from castellan_version where name = $1";

/** The lock is held until the transaction ends; whoever waits for it finds the work done. */
async function migrate(database: PostgresDatabase, tables: PostgresTables): Promise<void> {
  await database.transaction(async (query) => {
    await query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    try {
      // `if not exists` would ask for the permission to create schemas even if there is nothing to create.
      const [found] = await query("select from pg_namespace where nspname = $1", [database.schema]);
      if (found === undefined) await query(`create schema "${database.schema}"`);
      await query("create table if not exists castellan_version (name text primary key, version integer not null)");
      const [row] = await query<{ version: number }>(VERSION, [tables.name]);
      if (isCurrent(database, tables, row?.version)) return;
      for (const step of tables.steps.slice(row?.version ?? 0)) await query(step);
      await query(
        `insert into castellan_version values ($1, $2) on conflict (name) do update set version = excluded.version`,
        [tables.name, tables.steps.length],
      );
    } catch (error) {
      const { cause } = error as Error;
      if (!IN_THE_WAY.test(stateOf(cause) ?? "")) throw error;
      const what = `the schema holds tables of somebody else: ${wordsOf(cause)}`;
      throw unavailable(database.label, "foreign", what, { applied: false, cause });
    }
  });
}

function isCurrent({ label }: PostgresDatabase, { steps }: PostgresTables, version = 0): boolean {
  if (version <= steps.length) return version === steps.length;
  const what = `its tables are of version ${version}, made by a newer release of Castellan; this one knows those up to ${steps.length}`;
  const advice = "They are left as they are. Use that release or a newer one, or choose another schema.";
  throw unavailable(label, "foreign", what, { applied: false, advice });
}
