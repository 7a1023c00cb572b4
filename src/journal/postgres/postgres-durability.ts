import { isStorageFault } from "../../errors.ts";
import { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresLocation } from "./postgres-location.ts";

interface SettingsRow {
  readonly commit: string;
  readonly standbys: string;
  readonly fsync: string;
  readonly replicas: number;
}

/** Any role may read these; whether there are replicas, if not which. */
const SETTINGS = `
  select current_setting('synchronous_commit') as commit, current_setting('synchronous_standby_names') as standbys,
    current_setting('fsync') as fsync, (select count(*)::integer from pg_stat_replication) as replicas`;

const STATEMENT_MS = 5_000;

/** See {@link durabilityProblems}. @throws CastellanError `DATABASE_UNAVAILABLE` if the database does not answer */
export async function durabilityProblemsAt(location: PostgresLocation): Promise<string[]> {
  const database = await PostgresDatabase.load(location, "database", { timeoutMs: STATEMENT_MS, connections: 1 });
  try {
    return await durabilityProblems(database);
  } finally {
    await database.close();
  }
}

/**
 * Returns why the database may lose confirmed commits in a failover or a crash of its machine, and what to do about it;
 * empty if nothing suggests that. A database that only speaks PostgreSQL's protocol may have nothing to say.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` or `DATABASE_UNAVAILABLE`, by the use of the database, if it does not
 * answer
 */
export async function durabilityProblems(database: PostgresDatabase): Promise<string[]> {
  const [row] = await database.read<SettingsRow>(SETTINGS).catch((error: unknown) => {
    if (isStorageFault(error) && error.details.reason === "unreachable") throw error;
    return [];
  });
  return row === undefined ? [] : problemsOf(row);
}

function problemsOf({ commit, standbys, fsync, replicas }: SettingsRow): string[] {
  const problems: string[] = [];
  if (fsync === "off")
    problems.push("`fsync` is off, so a crash of its machine can damage the database; set it to `on`");
  if (commit === "off") {
    problems.push("`synchronous_commit` is off, so a crash loses accepted turns and delivered replies; set it to `on`");
  }
  if (replicas > 0 && standbys === "") {
    problems.push(
      `it has ${replicas === 1 ? "a replica" : `${replicas} replicas`} and waits for none, so a failover loses commits that are not replicated yet; name a standby in \`synchronous_standby_names\``,
    );
  } else if (standbys !== "" && commit === "local") {
    problems.push(
      "`synchronous_commit` is local, so commits do not wait for the standbys in `synchronous_standby_names`; set it to `on`",
    );
  }
  return problems;
}
