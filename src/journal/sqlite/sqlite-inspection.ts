import { statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { CastellanError } from "../../errors.ts";
import { fault } from "./sqlite-fault.ts";
import { refuseUnwritable } from "./sqlite-file.ts";
import type { Step } from "./sqlite-messages.ts";
import { APPLICATION_ID } from "./sqlite-schema.ts";
import type { SqliteConnection, SqliteThread } from "./sqlite-thread.ts";

/** What a SQLite file says about itself. */
export interface FileFacts {
  /** Id of the program that owns the file; 0 if unset. */
  readonly applicationId: number;
  /** Schema version. */
  readonly version: number;
  /** Number of tables, indexes and other schema objects. */
  readonly objects: number;
}

/** Whether to fill a file, use it, or leave it alone. */
export type Verdict = "empty" | "ours" | "newer" | "foreign";

/** @param newest the newest schema version that this release knows */
export function verdictOn({ applicationId, version, objects }: FileFacts, newest: number): Verdict {
  if (applicationId === APPLICATION_ID) return version > newest ? "newer" : "ours";
  return applicationId === 0 && version === 0 && objects === 0 ? "empty" : "foreign";
}

export async function factsOf(connection: SqliteConnection): Promise<FileFacts> {
  const asked = ["PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema"];
  const steps = asked.map((sql): Step => ({ sql, want: "row" }));
  try {
    // Reads all in one transaction: another process may be filling the file.
    const { results } = await connection.run([{ sql: "BEGIN" }, ...steps, { sql: "COMMIT" }]);
    const [applicationId = 0, version = 0, objects = 0] = results.map((row) => Number(Object.values(row ?? {})[0]));
    return { applicationId, version, objects };
  } catch (error) {
    await connection.exec("ROLLBACK").catch(() => {});
    throw error;
  }
}

/**
 * Checks a file before anything is done to it. Creates no file beside it.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if this release cannot use the file
 */
export async function inspect(thread: SqliteThread, path: string, newest: number): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isFile()) throw fault(path, "unreachable", found.isDirectory() ? "it is a folder" : "it is not a file");
  refuseUnwritable(path);
  if (found.size === 0) return;
  // Opening a file in WAL mode creates missing files beside it. An immutable file is only read, but without its log.
  const recent = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const location = recent ? path : `${pathToFileURL(path)}?immutable=1`;
  const connection = await thread.connect(location, { readOnly: true });
  try {
    refuseForeign(path, await factsOf(connection), newest);
  } finally {
    await connection.close();
  }
}

/** @throws CastellanError `JOURNAL_UNAVAILABLE` */
export function refuseForeign(path: string, facts: FileFacts, newest: number): void {
  const verdict = verdictOn(facts, newest);
  if (verdict === "newer") throw newerError(path, facts.version, newest);
  if (verdict === "foreign") throw fault(path, "foreign", "it is a SQLite file of another program");
}

function newerError(path: string, version: number, newest: number): CastellanError {
  const what = `its version is ${version}, written by a newer release of Castellan; this release knows versions up to ${newest}`;
  return fault(path, "foreign", what, {
    advice: "Castellan leaves the file unchanged. Update Castellan, or name another path.",
  });
}
