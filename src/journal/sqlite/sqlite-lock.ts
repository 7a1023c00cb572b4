import { hostname } from "node:os";
import type { Clock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { JournalOwner } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { type FileLock, fileLocks } from "./file-lock.ts";
import { codeOf } from "./sqlite-fault.ts";
import { ownerIn } from "./sqlite-owner.ts";
import type { SqliteThread } from "./sqlite-thread.ts";

/** How long an application that has just taken the lock may take to say who it is, and how often that is looked at. */
const INTRODUCTION_MS = 2_000;
const POLL_MS = 20;

/**
 * Takes the lock that makes an application the only one on a journal, for as long as it stays open. It is on a file of its own, which is never
 * deleted, so that others can read the journal meanwhile.
 *
 * @throws CastellanError `JOURNAL_IN_USE`
 */
export async function takeLock(thread: SqliteThread, path: string, clock: Clock): Promise<FileLock> {
  const deadline = clock.monotonic() + INTRODUCTION_MS;
  const tryLock = await fileLocks();
  for (;;) {
    const lock = tryLock(`${path}-owner`);
    if (lock !== undefined) return lock;
    // Right after the death of an owner, what it left in the file is still there while the next one holds the lock already.
    const owner = await ownerIn(thread, path);
    if (owner !== undefined && !isGone(owner)) throw inUse(path, owner);
    if (clock.monotonic() >= deadline) throw owner === undefined ? inUseByUnknown(path) : inUse(path, owner);
    await new Promise<void>((resolve) => clock.schedule(POLL_MS, resolve));
  }
}

/** Only of processes of the same host can it be told. */
function isGone({ pid, host }: JournalOwner): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === "ESRCH";
  }
}

function inUseByUnknown(path: string): CastellanError {
  const message = `The journal ${path} is held by an application that does not say which it is: something has locked ${path}-owner. End that application, or give this one another journal.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid: 0, host: "", startedAt: 0 } });
}
