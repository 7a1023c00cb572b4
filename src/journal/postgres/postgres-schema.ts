import type { CastellanError } from "../../errors.ts";
import type { PostgresDatabase, Query } from "./postgres-database.ts";
import { messageOf, stateOf, unavailable } from "./postgres-fault.ts";
import { grantsFor, type LackRow, lacksStatement, lacksVersion, usageGrant } from "./postgres-grants.ts";

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

const NOT_PERMITTED = "42501";

/** SQLSTATEs for a table, column or index that already exists, or is missing. */
const IN_THE_WAY = /^(42P07|42701|42703|42710)$/;

interface StateRow {
  readonly encoding: string;
  readonly role: string;
  /** Whether the role may use the schema; null if there is none. */
  readonly usable: boolean | null;
  /** Whether the schema has any of Castellan's tables. */
  readonly begun: boolean;
}

/* To a role that may not use the schema, its tables do not exist. */
const STATE = `
  select current_setting('server_encoding') as encoding, current_user::text as role,
    (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = $1) as usable,
    to_regclass('castellan_version') is not null as begun`;

/**
 * Creates the tables or migrates them to the newest version. Safe with any number of applications at once, also of
 * different releases: an earlier one works with newer tables if all later steps are additive.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, with the reason `foreign` if the tables need
 * a newer release or are not Castellan's, and `denied` if the role may not create, migrate, read or write them
 * @returns whether anything was created or migrated
 */
export async function prepare(database: PostgresDatabase, tables: PostgresTables): Promise<boolean> {
  const { schema, subject } = database;
  const [state] = await database.read<StateRow>(STATE, [schema]);
  if (state?.encoding !== "UTF8") {
    const what = `the database has the encoding ${state?.encoding}, which cannot represent all characters`;
    const advice = "Create a database with the encoding UTF8.";
    throw unavailable(subject, "refused", what, { applied: false, advice });
  }
  const { role, usable, begun } = state;
  if (usable === false) throw lacking(database, role, [usageGrant(schema, role)]);
  if (begun) {
    const { text, values } = lacksStatement(schema, tables);
    const lacks = await database.read<LackRow>(text, values);
    const refuse = (): never => {
      throw lacking(database, role, grantsFor(schema, role, lacks, tables));
    };
    if (lacksVersion(lacks)) refuse();
    // Looks first, so that only the first application needs permission to create anything.
    const [found] = await database.read<VersionRow>(VERSION, [tables.name]);
    if (isCurrent(database, tables, found)) return lacks.length > 0 ? refuse() : false;
  }
  return await migrate(database, tables, state);
}

function lacking({ subject }: PostgresDatabase, role: string, grants: readonly string[]): CastellanError {
  const what = `the role ${role} lacks privileges`;
  const advice = `Run as the owner of the tables: ${grants.join("; ")}.`;
  return unavailable(subject, "denied", what, { applied: false, advice, grants });
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
async function migrate(
  database: PostgresDatabase,
  tables: PostgresTables,
  { role, usable }: Pick<StateRow, "role" | "usable">,
): Promise<boolean> {
  return await database.transaction(async (query) => {
    await query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    try {
      // `if not exists` needs the permission to create a schema even if the schema exists.
      const [found] = await query("select from pg_namespace where nspname = $1", [database.schema]);
      if (found === undefined) await query(`create schema "${database.schema}"`);
      await query("create table if not exists castellan_version (name text primary key, version integer not null)");
      const [row] = await query<VersionRow>(VERSION, [tables.name]);
      if (isCurrent(database, tables, row)) return false;
      await make(query, tables, row);
      return true;
    } catch (error) {
      const { cause } = error as Error;
      if (stateOf(cause) === NOT_PERMITTED) {
        const what = `the role ${role} may not ${usable === null ? `create the schema ${database.schema}` : `create or migrate the tables of the ${tables.name}`}: ${messageOf(cause)}`;
        const advice =
          "Run `castellan migrate` as a role that may, the owner of the schema, before this release starts.";
        throw unavailable(database.subject, "denied", what, { applied: false, cause, advice });
      }
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
