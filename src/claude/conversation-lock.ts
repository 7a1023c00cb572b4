import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { formatDuration } from "../duration.ts";
import { type FileLock, fileLocks, isNoLockFile, lockHolderOf, type TryLock } from "../journal/sqlite/file-lock.ts";
import { type Owner, ownerOf } from "./marker.ts";
import { isOutOfFiles, opensNoFile } from "./passing-fault.ts";

/** Next to Claude Code's own files, because the locks protect its transcripts. */
const FOLDER = "castellan-locks";

/** Held while a lock is taken or released, so that no application locks a file that another is deleting. */
const GUARD = "guard";

/** How long to wait for the guard. Holders need less than a millisecond, unless their process is stopped. */
const GUARD_MS = 5_000;
const PAUSE_MS = 2;

/** Another application on this machine writes to the conversation. */
export class ConversationInUse extends Error {
  override readonly name: string = "ConversationInUse";

  /** Without an owner, the other application is unknown. */
  constructor(id: string, owner?: Owner) {
    super(
      `the conversation ${id} is in use by another application${owner === undefined ? "" : `, process ${owner.pid}`}`,
    );
  }
}

/** The guard cannot be taken now, because another process holds it and does not continue. A retry may succeed. */
export class LockGuarded extends Error {
  override readonly name: string = "LockGuarded";

  /** Without a holder, the other process is unknown. */
  constructor(id: string, guard: string, ms: number, holder: number | undefined) {
    const who = holder === undefined ? "another application" : `process ${holder}`;
    const why = `${who} has locked ${guard} for ${formatDuration(ms)}; it is stopped or hangs`;
    super(`the conversation ${id} cannot be locked: ${why}`);
  }
}

/** The exclusive right of this application to write to a conversation. */
export interface ConversationLock {
  /** Releases it. Idempotent. */
  release(): Promise<void>;
}

/** A lock of this application, and the activations that share it. */
interface HeldLock {
  readonly lock: FileLock;
  readonly markers: Set<string>;
}

const held = new Map<string, HeldLock>();

/**
 * Locks a conversation for this application, within one Claude configuration directory. Sessions of one application
 * keep to their own conversations by themselves; this protects against applications that know nothing of each other.
 *
 * The kernel holds the lock and releases it when the application ends in any way. A second file names the owner, for
 * messages only.
 *
 * @param marker of the activation that is about to write
 * @param guardMs how long to wait for others to take or release a lock
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
    // A process started a moment later may be able to write.
    if (isOutOfFiles(error) || opensNoFile()) throw error;
    // If nothing can be written, neither can Claude Code write a transcript.
    return { release: async () => {} };
  }
}

/** Does not create parent directories: if they are missing, Claude Code has never run there. */
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

/** Shares a lock that this application already has. Returns whether it has one. */
function share(path: string, marker: string): boolean {
  return held.get(path)?.markers.add(marker) !== undefined;
}

/** Takes the lock. @throws ConversationInUse */
function lock(path: string, marker: string, tryLock: TryLock, id: string): void {
  const taken = lockFile(path, tryLock);
  if (taken === undefined) throw new ConversationInUse(id, ownerOfLock(path));
  held.set(path, { lock: taken, markers: new Set([marker]) });
  try {
    writeFileSync(ownerFile(path), marker, { mode: 0o600 });
  } catch {
    // The disk is full. The lock works without the owner's name.
  }
}

/**
 * Locks the file. A file with contents is no lock file and can be locked by nobody, so it is replaced; after any other
 * error, somebody may hold the lock.
 */
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
  // While this one waits for the guard, another activation may share the lock or release it.
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
  // Without the guard the files stay; they lock nothing.
  if (isLast()) unlock();
}

/** Runs `work` while no other application takes or releases a lock in this folder. Returns whether it ran. */
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
