import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { CastellanError } from "../errors.ts";
import { connect } from "./sqlite-connection.ts";
import { fault } from "./sqlite-fault.ts";
import { refuseUnwritable } from "./sqlite-file.ts";
import { APPLICATION_ID } from "./sqlite-schema.ts";

/** What a SQLite file says of itself. */
export interface FileFacts {
  /** Which program's it is; 0 if it does not say. */
  readonly applicationId: number;
  /** Of the schema. */
  readonly version: number;
  /** How many tables, indexes and the like it has. */
  readonly objects: number;
}

/** What is to be done with a file: fill it, use it, or leave it as it is. */
export type Verdict = "empty" | "ours" | "newer" | "foreign";

/** @param newest the version of the schema that this release has */
export function verdictOn({ applicationId, version, objects }: FileFacts, newest: number): Verdict {
  if (applicationId === APPLICATION_ID) return version > newest ? "newer" : "ours";
  return applicationId === 0 && version === 0 && objects === 0 ? "empty" : "foreign";
}

export function factsOf(database: DatabaseSync): FileFacts {
  const number = (sql: string): number => Number(Object.values(database.prepare(sql).get() ?? {})[0]);
  // All as of one moment: somebody else may be filling the file just now.
  database.exec("BEGIN");
  try {
    return {
      applicationId: number("PRAGMA application_id"),
      version: number("PRAGMA user_version"),
      objects: number("SELECT count(*) FROM sqlite_schema"),
    };
  } finally {
    database.exec("COMMIT");
  }
}

/**
 * Looks at the file before anything is done to it, and leaves nothing beside it.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE` if it is none that this release can use
 */
export async function inspect(path: string, newest: number): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isFile()) throw fault(path, "unreachable", found.isDirectory() ? "it is a folder" : "it is not a file");
  refuseUnwritable(path);
  if (found.size === 0) return;
  // To open a file in WAL mode makes files beside it, if they are not there. One that is said to be immutable is only read, but
  // without what is in the WAL.
  const recent = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  const database = await connect(recent ? path : `${pathToFileURL(path)}?immutable=1`, { readOnly: true });
  try {
    refuseForeign(path, factsOf(database), newest);
  } finally {
    database.close();
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
  return fault(path, "foreign", what, { advice: "It is left as it is. Update Castellan, or name another path." });
}
