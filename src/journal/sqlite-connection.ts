import type { DatabaseSync } from "node:sqlite";
import { isUncertain, UncertainCommit } from "./sqlite-fault.ts";

/**
 * How long a call waits, blocking, for another program that has the file locked, in milliseconds. Readers lock nobody out;
 * it takes somebody who writes by hand.
 */
const BUSY_MS = 500;

interface ConnectOptions {
  readonly readOnly?: boolean;
  /** @defaultValue 500 */
  readonly busyMs?: number;
}

/** Opens the file at a path or `file:` URL. Nothing is read from it yet. */
export async function connect(
  location: string,
  { readOnly = false, busyMs = BUSY_MS }: ConnectOptions = {},
): Promise<DatabaseSync> {
  // Here and not above, since early releases of Node 24 warn of it: whoever has no such journal need not see that.
  const { DatabaseSync } = await import("node:sqlite");
  return new DatabaseSync(location, { readOnly, timeout: busyMs, enableForeignKeyConstraints: false });
}

/**
 * Does `work` in one transaction: all of it, or nothing.
 *
 * @throws UncertainCommit if it cannot be told whether it was done; anything else if it was not
 */
export function inTransaction<Result>(database: DatabaseSync, work: () => Result): Result {
  rollBack(database);
  database.exec("BEGIN IMMEDIATE");
  let result: Result;
  try {
    result = work();
  } catch (error) {
    rollBack(database);
    throw error;
  }
  try {
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw isUncertain(error) ? new UncertainCommit(error) : error;
  }
  return result;
}

/** Some faults end the transaction by themselves, and some roll-backs fail too; the next transaction then does it. */
function rollBack(database: DatabaseSync): void {
  if (!database.isTransaction) return;
  try {
    database.exec("ROLLBACK");
  } catch {
    // What went wrong first is what is told.
  }
}
