import type { Query, Statement } from "./postgres-database.ts";

/** What a role needs to run Castellan on tables that another role has created. */
const PRIVILEGES = ["select", "insert", "update", "delete"] as const;

/** Has the versions of the tables. Running only reads it. */
const VERSION_TABLE = "castellan_version";

/** The statements that create tables and functions. */
interface Sources {
  readonly steps: readonly { readonly sql: string }[];
}

/** A table or function for which a role lacks privileges. */
export interface LackRow {
  readonly kind: "table" | "function";
  readonly name: string;
  readonly privileges: readonly string[];
}

/** Returns a statement that selects what the current role lacks to read and write these tables, if they exist. */
export function lacksStatement(schema: string, tables: Sources): Statement {
  return { text: LACKS, values: [schema, [VERSION_TABLE, ...namesIn(tables, "table")], namesIn(tables, "function")] };
}

/** Returns SQL statements that grant what a role lacks; one for all tables if it may not use any of them. */
export function grantsFor(schema: string, role: string, lacks: readonly LackRow[], tables: Sources): readonly string[] {
  const to = `to ${quoted(role)}`;
  const unusable = lacks.filter(({ kind, privileges }) => kind === "table" && privileges.length === PRIVILEGES.length);
  if (unusable.length === namesIn(tables, "table").length) {
    const rest = lacks.filter(({ kind }) => kind !== "table");
    const grant = `grant ${PRIVILEGES.join(", ")} on all tables in schema ${quoted(schema)} ${to}`;
    return [grant, ...rest.map((lack) => grantFor(schema, lack, to))];
  }
  return lacks.map((lack) => grantFor(schema, lack, to));
}

/** Returns the statement that lets a role use a schema. */
export function usageGrant(schema: string, role: string): string {
  return `grant usage on schema ${quoted(schema)} to ${quoted(role)}`;
}

/** Grants a role what it needs to run Castellan on the tables of the current role, and nothing on others in the schema. */
export async function runGrants(query: Query, schema: string, role: string, sets: readonly Sources[]): Promise<void> {
  await query(usageGrant(schema, role));
  const named = (kind: LackRow["kind"]): string[] => sets.flatMap((tables) => namesIn(tables, kind));
  const present = await query<Pick<LackRow, "kind" | "name">>(PRESENT, [schema, named("table"), named("function")]);
  const read: LackRow = { kind: "table", name: VERSION_TABLE, privileges: ["select"] };
  const used = present.map((one): LackRow => ({ ...one, privileges: one.kind === "table" ? PRIVILEGES : ["execute"] }));
  for (const one of [read, ...used]) await query(grantFor(schema, one, `to ${quoted(role)}`));
}

/** Whether the versions of the tables cannot be read. */
export function lacksVersion(lacks: readonly LackRow[]): boolean {
  return lacks.some(({ name }) => name === VERSION_TABLE);
}

function grantFor(schema: string, { kind, name, privileges }: LackRow, to: string): string {
  const what = `${kind === "table" ? "" : "function "}${quoted(schema)}.${quoted(name)}`;
  return `grant ${privileges.join(", ")} on ${what} ${to}`;
}

/** The names in the statements that create them. */
function namesIn({ steps }: Sources, kind: LackRow["kind"]): string[] {
  return steps.flatMap(({ sql }) =>
    [...sql.matchAll(new RegExp(`create ${kind} (\\w+)`, "g"))].map(([, name = ""]) => name),
  );
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

const LACKS = `
  with tables as (
    select relname::text as name, array(
      select privilege from unnest('{${PRIVILEGES.join()}}'::text[]) with ordinality as wanted (privilege, nth)
      where (relname <> '${VERSION_TABLE}' or privilege = 'select') and not has_table_privilege(pg_class.oid, privilege)
      order by nth
    ) as privileges
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = $1 and relkind in ('r', 'p') and relname = any($2)
  )
  select 'table' as kind, name, privileges from tables where cardinality(privileges) > 0
  union all
  select 'function', proname::text, '{execute}'::text[] from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
  where nspname = $1 and proname = any($3) and not has_function_privilege(pg_proc.oid, 'execute')
  order by kind desc, name`;

const PRESENT = `
  select 'table' as kind, relname::text as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
  where nspname = $1 and relkind in ('r', 'p') and relname = any($2)
  union all
  select 'function', proname::text from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
  where nspname = $1 and proname = any($3)`;
