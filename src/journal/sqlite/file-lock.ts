import { readFileSync, statSync } from "node:fs";
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
  return (path) => tryLock(path, (location) => new sqlite.DatabaseSync(location, { timeout: 0 }));
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

/** SQLite's locks stand behind the first gigabyte of a file, whatever is in it. */
const FIRST_BYTE = 2 ** 30;

/**
 * The process that has a lock of SQLite's on a file, as the kernel knows it; `undefined` if there is none, it runs in another
 * container, or the system does not tell, which only Linux does.
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
