import { readFileSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { makeFile, refuseUnwritable } from "./sqlite-file.ts";

/** A locked file. */
export interface FileLock {
  /** Releases the lock. Idempotent. */
  close(): void;
}

/**
 * Locks a file, or returns undefined if it is locked. Never waits.
 *
 * The kernel releases the lock when the process ends, however it ends, so no pid has to be checked. The lock is
 * SQLite's, which also works between two connections of one process and on every platform. It creates the file if
 * needed; the file stays empty.
 *
 * @throws Error if the file cannot be created or locked
 */
export type TryLock = (path: string) => FileLock | undefined;

/** Loads SQLite lazily: early releases of Node 24 print a warning. */
export async function fileLocks(): Promise<TryLock> {
  const sqlite = await import("node:sqlite");
  return (path) => tryLock(path, (location) => new sqlite.DatabaseSync(location, { timeout: 0 }));
}

function tryLock(path: string, open: (path: string) => DatabaseSync): FileLock | undefined {
  makeFile(path);
  // SQLite silently takes no lock on a read-only file.
  refuseUnwritable(path);
  const database = open(path);
  try {
    // Other journal modes create a second file.
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

/** Whether a file could not be locked because it has contents, which a lock file never has. */
export function isNoLockFile(error: unknown): boolean {
  return codeOfSqlite(error) === SQLITE_NOTADB;
}

function codeOfSqlite(error: unknown): unknown {
  return error instanceof Error && "errcode" in error ? error.errcode : undefined;
}

const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;

/** SQLite's locks are after the first gigabyte of a file. */
const FIRST_BYTE = 2 ** 30;

/**
 * Returns the process that has a SQLite lock on the file; undefined if there is none, if it is in another container, or
 * if the system does not tell: only Linux does.
 */
export function lockHolderOf(path: string): number | undefined {
  try {
    const { ino } = statSync(path);
    return holderIn(readFileSync("/proc/locks", "utf8"), ino);
  } catch {
    return undefined;
  }
}

/** @param locks as in `/proc/locks`: `1: POSIX  ADVISORY  WRITE 4711 fd:01:123 1073741824 1073742335` */
export function holderIn(locks: string, inode: number): number | undefined {
  for (const line of locks.split("\n")) {
    const [, kind, , mode, pid, file = "", from] = line.trim().split(/\s+/);
    const isOnFile = file.split(":").at(-1) === String(inode);
    if (kind === "POSIX" && mode === "WRITE" && isOnFile && Number(from) >= FIRST_BYTE && Number(pid) > 0)
      return Number(pid);
  }
  return undefined;
}
