import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { formatDuration } from "../duration.ts";
import { type FileLock, fileLocks, isNoLockFile, lockHolderOf, type TryLock } from "../journal/sqlite/file-lock.ts";
import { type Owner, ownerOf } from "./marker.ts";
import { isOutOfFiles, opensNoFile } from "./passing-fault.ts";

/** Beside Claude Code's own files, since it is their transcripts that have one writer. */
const FOLDER = "castellan-locks";

/** Locked while a lock is taken or given back, so that nobody locks a file that another deletes at that moment. */
const GUARD = "guard";

/** An application keeps the guard for less than a millisecond, unless its process is stopped in between. */
const GUARD_MS = 5_000;
const PAUSE_MS = 2;

/** A conversation that another application of this machine writes to. */
export class ConversationInUse extends Error {
  override readonly name: string = "ConversationInUse";

  /** Without an owner, nobody can tell which application it is. */
  constructor(id: string, owner?: Owner) {
    super(
      `the conversation ${id} is in use by another application${owner === undefined ? "" : `, process ${owner.pid}`}`,
    );
  }
}

/** Nobody can lock a conversation now, since another process stands in the way that does not go on. Later it may have. */
export class LockGuarded extends Error {
  override readonly name: string = "LockGuarded";

  /** Without a holder, nobody can tell which process it is. */
  constructor(id: string, guard: string, ms: number, holder: number | undefined) {
    const who = holder === undefined ? "another application" : `process ${holder}`;
    const why = `${who} has had ${guard} locked for ${formatDuration(ms)}, so that it is stopped or hangs`;
    super(`the conversation ${id} cannot be locked: ${why}`);
  }
}

/** A conversation that no other application of this machine may write to. */
export interface ConversationLock {
  /** Gives it up; does nothing the second time. */
  release(): Promise<void>;
}

/** A lock of this application, and the activations that have it. */
interface HeldLock {
  readonly lock: FileLock;
  readonly markers: Set<string>;
}

const held = new Map<string, HeldLock>();

/**
 * Makes a conversation this application's, as far as the transcripts in this directory of Claude Code's own go. Within an
 * application the sessions see to it that each has a conversation of its own; this is for two applications that know nothing
 * of each other.
 *
 * The kernel holds the lock, and frees it when the application ends, however it ends. A second file names the owner, for
 * messages only.
 *
 * @param marker of the activation that is about to write to it
 * @param guardMs how long it waits for others that take or give back a lock
 * @throws ConversationInUse, LockGuarded, or an error of the system if no file can be opened now
 */
export async function lockConversation(
  id: string,
  marker: string,
  config: string,
  guardMs: number = GUARD_MS,
): Promise<ConversationLock> {
  try {
    const tryLock = await fileLocks();
    const path = join(folderIn(config), `${id}.lock`);
    const take = (): void => {
      if (!share(path, marker)) lock(path, marker, tryLock, id);
    };
    if (!share(path, marker) && !(await underGuard(path, tryLock, take, guardMs))) {
      const guard = guardOf(path);
      throw new LockGuarded(id, guard, guardMs, lockHolderOf(guard));
    }
    return { release: () => release(path, marker, tryLock) };
  } catch (error) {
    if (error instanceof ConversationInUse || error instanceof LockGuarded) throw error;
    // A process that is started a moment later may be able to write.
    if (isOutOfFiles(error) || opensNoFile()) throw error;
    // Where nothing can be written, Claude Code cannot write a transcript either.
    return { release: async () => {} };
  }
}

/** Not with all that is above it: where that is missing, Claude Code has never been. */
function folderIn(config: string): string {
  makeFolder(config);
  const folder = join(realpathSync(config), FOLDER);
  makeFolder(folder);
  return folder;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

/** Whether this application has the lock already; then the activation has it too. */
function share(path: string, marker: string): boolean {
  return held.get(path)?.markers.add(marker) !== undefined;
}

/** @throws ConversationInUse */
function lock(path: string, marker: string, tryLock: TryLock, id: string): void {
  const taken = lockFile(path, tryLock);
  if (taken === undefined) throw new ConversationInUse(id, ownerOfLock(path));
  held.set(path, { lock: taken, markers: new Set([marker]) });
  try {
    writeFileSync(ownerFile(path), marker, { mode: 0o600 });
  } catch {
    // A full disk. The lock holds without it.
  }
}

/** Nobody can lock a file that holds something else, so that it is replaced. After any other error somebody may have it locked. */
function lockFile(path: string, tryLock: TryLock): FileLock | undefined {
  try {
    return tryLock(path);
  } catch (error) {
    if (!isNoLockFile(error)) throw error;
    rmSync(path, { force: true });
    return tryLock(path);
  }
}

async function release(path: string, marker: string, tryLock: TryLock): Promise<void> {
  const mine = held.get(path);
  if (mine === undefined || !mine.markers.delete(marker)) return;
  // Another activation may share it, or give it back, while this one waits for the guard.
  const isLast = (): boolean => mine.markers.size === 0 && held.get(path) === mine;
  const unlock = (): void => {
    held.delete(path);
    mine.lock.close();
  };
  const unlockAndRemove = (): void => {
    if (!isLast()) return;
    unlock();
    for (const file of [path, ownerFile(path)]) rmSync(file, { force: true });
  };
  if (!isLast()) return;
  await underGuard(path, tryLock, unlockAndRemove).catch(() => {});
  // Without the guard the files stay. They lock nothing.
  if (isLast()) unlock();
}

/** Does `work` while no other application takes or gives back a lock of this folder. Returns whether it came to that. */
async function underGuard(path: string, tryLock: TryLock, work: () => void, ms: number = GUARD_MS): Promise<boolean> {
  const deadline = performance.now() + ms;
  for (;;) {
    const guard = tryLock(guardOf(path));
    if (guard !== undefined) {
      try {
        work();
        return true;
      } finally {
        guard.close();
      }
    }
    if (performance.now() >= deadline) return false;
    await delay(PAUSE_MS);
  }
}

function guardOf(path: string): string {
  return join(dirname(path), GUARD);
}

function ownerFile(path: string): string {
  return `${path}-owner`;
}

function ownerOfLock(path: string): Owner | undefined {
  try {
    return ownerOf(readFileSync(ownerFile(path), "utf8"));
  } catch {
    return undefined;
  }
}
