import type { DatabaseSync } from "node:sqlite";
import { makeFile, refuseUnwritable } from "./sqlite-file.ts";

/** A file that nobody else has locked, for as long as this is open. */
export interface FileLock {
  /** Gives the lock back. Does nothing the second time. */
  close(): void;
}

/**
 * Locks a file, or returns `undefined` where another has it locked. Never waits.
 *
 * The kernel holds the lock and gives it back when the process ends, however it ends: no pid has to be proven dead. The lock
 * is one of SQLite's, which also holds between two connections of one process, and works on every platform of Node's. The
 * file is made if it is missing, and stays empty.
 *
 * @throws Error where the file cannot be made or locked
 */
export type TryLock = (path: string) => FileLock | undefined;

/** Loads SQLite: early releases of Node 24 warn of it, and who locks no file need not see that. */
export async function fileLocks(): Promise<TryLock> {
  const sqlite = await import("node:sqlite");
  return (path) => tryLock(path, (place) => new sqlite.DatabaseSync(place, { timeout: 0 }));
}

function tryLock(path: string, open: (path: string) => DatabaseSync): FileLock | undefined {
  makeFile(path);
  // SQLite takes no lock on a file that may only be read, and does not say so.
  refuseUnwritable(path);
  const database = open(path);
  try {
    // Any other mode makes a second file.
    database.exec("PRAGMA journal_mode = MEMORY");
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (codeOfSqlite(error) === SQLITE_BUSY) return undefined;
    throw error;
  }
  return {
    close: () => {
      if (database.isOpen) database.close();
    },
  };
}

/** Whether a file could not be locked because it holds something, which no lock does. */
export function isNoLockFile(error: unknown): boolean {
  return codeOfSqlite(error) === SQLITE_NOTADB;
}

function codeOfSqlite(error: unknown): unknown {
  return error instanceof Error && "errcode" in error ? error.errcode : undefined;
}

const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;
