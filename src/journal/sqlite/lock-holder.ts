import { readFileSync, statSync } from "node:fs";

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
