import { statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Clock, pause } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { JournalOwner } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { type FileLock, fileLocks } from "./file-lock.ts";
import { codeOf, fault, faultOf, isBusy, unavailable } from "./sqlite-fault.ts";
import { locate, makeFile, refuseUnwritable } from "./sqlite-file.ts";
import { factsOf, inspect, refuseForeign, verdictOn } from "./sqlite-inspection.ts";
import { bootOf, type Mark, missingFrom, readMark, textOf } from "./sqlite-mark.ts";
import { claim, claimOpening, extentOf, ownerIn, standing } from "./sqlite-owner.ts";
import { migrate } from "./sqlite-schema.ts";
import { examine, type Soundness } from "./sqlite-soundness.ts";
import { type SqliteConnection, SqliteThread } from "./sqlite-thread.ts";

/** A file that is open, and this owner's. */
export interface OpenFile {
  readonly path: string;
  readonly owner: JournalOwner;
  readonly clock: Clock;
  thread: SqliteThread;
  connection: SqliteConnection;
  /** Without one there was nothing yet that could be locked. */
  lock: FileLock | undefined;
  /** Why it could be opened only to be read. */
  unwritable: CastellanError | undefined;
  /** Who had it before. */
  readonly formerOwner: string | undefined;
  /** What was found when it was opened; nothing is known yet of a large file, see `soundnessOfLarge`. */
  readonly soundness: Soundness | undefined;
  /** What it lacks of what was written to it before it was opened, in words. */
  readonly missing: string | undefined;
  /** Which opening of it this is, and in which run of the machine. */
  opening: Pick<Mark, "openings" | "boot">;
  /** How many batches it has taken, and the last one that the disk was waited for. */
  written: number;
  durable: number;
  /** Why it takes no more, whatever becomes of it. */
  broken: CastellanError | undefined;
}

/** What a file is opened with, besides. */
export interface Opening {
  readonly owner: JournalOwner;
  readonly clock: Clock;
  readonly migrations: readonly string[];
}

/** Larger files are looked at beside all else, since it takes a while. In bytes. */
const SMALL = 64 * 1024 ** 2;

const SOUND: Soundness = { damage: [], mended: [] };

/** How long another program that has the file locked is waited for, and how long between two tries. */
const BUSY_MS = 5_000;
const RETRY_MS = 50;

const SETTINGS = `
  -- How much of the WAL is kept for reuse after somebody's long read has made it grow, in bytes.
  PRAGMA journal_size_limit = 16777216;
  -- On macOS a disk says that it has written what it only has in its cache, unless it is asked like this.
  PRAGMA fullfsync = 1;
`;

/**
 * Opens the file at `place` for one owner, makes it if it is not there, and brings it up to date. Where there is no room for that,
 * what is there can be read all the same, see `OpenFile.unwritable`.
 */
export async function openFile(location: string, opening: Opening): Promise<OpenFile> {
  const thread = new SqliteThread();
  try {
    return await openIn(thread, location, opening);
  } catch (error) {
    await thread.end();
    throw error;
  }
}

async function openIn(thread: SqliteThread, location: string, opening: Opening): Promise<OpenFile> {
  const { owner, clock, migrations } = opening;
  const known = { owner, clock, thread, unwritable: undefined, written: 0, durable: 0, broken: undefined };
  let path = resolve(location);
  let lock: FileLock | undefined;
  try {
    path = locate(location);
    refuseUnwritable(dirname(path));
    await inspect(thread, path, migrations.length).catch(ignoreUnread);
    lock = await takeLock(thread, path, clock);
    return { ...known, path, lock, ...(await openWhole(thread, path, opening, resolve(location))) };
  } catch (error) {
    try {
      if (faultOf(error) !== "no_space" || (lock === undefined && isThere(path))) throw error;
      const unwritable = unavailable(path, error, false);
      const connection = await openToRead(thread, path, migrations, unwritable);
      const opening = { openings: 0, boot: "" };
      const nothing = { formerOwner: undefined, soundness: SOUND, missing: undefined, opening };
      return { ...known, path, lock, connection, ...nothing, unwritable };
    } catch (error) {
      lock?.close();
      throw error;
    }
  }
}

/**
 * Opens what could be opened only to be read, now that there may be room.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`; `NOT_OWNER` if there was nothing to lock, and another application was faster
 */
export async function openAgain(file: OpenFile, opening: Opening): Promise<OpenFile> {
  const { thread, path } = file;
  await file.connection.close().catch(() => {});
  try {
    const location = locate(path);
    file.lock ??= await takeLock(thread, location, opening.clock);
    const opened = await openWhole(thread, location, opening);
    return { ...file, path: location, ...opened, unwritable: undefined };
  } catch (error) {
    if (CastellanError.is(error, "JOURNAL_IN_USE")) throw new CastellanError("NOT_OWNER", error.message);
    file.connection = await openToRead(thread, path, opening.migrations, unavailable(path, error, false));
    throw error;
  }
}

/** Closes the connection to a file and opens another one. What it has to have in it is not looked at. */
export async function connectAgain(file: OpenFile): Promise<void> {
  await file.connection.close().catch(() => {});
  file.connection = await connect(file.thread, file.path);
}

/** The same, in another thread, since the one before has ended by itself. */
export async function startAgain(file: OpenFile): Promise<void> {
  const thread = new SqliteThread();
  try {
    const connection = await connect(thread, file.path);
    Object.assign(file, { thread, connection });
  } catch (error) {
    await thread.end();
    throw error;
  }
}

/** Makes it the same owner's once more; batches count from 1 again. */
export async function claimAgain(file: OpenFile): Promise<void> {
  const opening = { ...file.opening, openings: file.opening.openings + 1 };
  await claimOpening(file.connection, file.owner, opening.openings);
  await file.connection.mark(textOf({ ...opening, written: 0, durable: 0 }));
  Object.assign(file, { opening, written: 0, durable: 0 });
}

/** Closes it. What is in the WAL goes into the file, unless somebody still reads. */
export async function closeFile({ thread, connection, lock }: OpenFile): Promise<void> {
  await connection.close().catch(() => {});
  await thread.end();
  lock?.close();
}

type Opened = Pick<OpenFile, "connection" | "formerOwner" | "soundness" | "missing" | "opening">;

async function openWhole(
  thread: SqliteThread,
  path: string,
  { owner, clock, migrations }: Opening,
  location: string = path,
): Promise<Opened> {
  const deadline = clock.monotonic() + BUSY_MS;
  for (;;) {
    try {
      return await fill(thread, path, owner, migrations, location);
    } catch (error) {
      if (!isBusy(error) || clock.monotonic() >= deadline) throw error;
      await pause(clock, RETRY_MS);
    }
  }
}

async function fill(
  thread: SqliteThread,
  path: string,
  owner: JournalOwner,
  migrations: readonly string[],
  location: string,
): Promise<Opened> {
  makeFile(path);
  const connection = await thread.connect(path);
  try {
    const facts = await factsOf(connection);
    // Again, since it may have changed before the lock was taken.
    refuseForeign(path, facts, migrations.length);
    await configure(path, connection);
    const formerOwner = facts.version === 0 ? undefined : (await standing(connection)).id;
    // A link may lie where the file was.
    const [found, mark, boot] = [await extentOf(connection), readMark(path) ?? readMark(location), bootOf()];
    const openings = Math.max(found.openings, mark?.openings ?? 0) + 1;
    // Where it is said already how much was written, that is not set back without saying that it is another opening.
    const begun = found.openings > 0 ? claimOpening : claim;
    await migrate(connection, facts.version, migrations, () => begun(connection, owner, openings));
    await claimOpening(connection, owner, openings);
    const opening = { openings, boot };
    const soundness = isSmall(path) ? await soundnessOf(connection, true) : undefined;
    await connection.watch(path);
    await connection.mark(textOf({ ...opening, written: 0, durable: 0 }));
    return { connection, formerOwner, soundness, missing: missingFrom(found, mark, boot), opening };
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

/** What is wrong with a large file, which is looked at in a thread of its own. */
export async function soundnessOfLarge(path: string): Promise<Soundness> {
  const thread = new SqliteThread();
  try {
    return await soundnessOf(await thread.connect(path, { readOnly: true }), false);
  } finally {
    await thread.end();
  }
}

function isSmall(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= SMALL;
}

/** A file that cannot be looked at is not sound. */
async function soundnessOf(connection: SqliteConnection, mends: boolean): Promise<Soundness> {
  return await examine(connection, mends).catch((error: unknown) => {
    if (!(error instanceof Error) || faultOf(error) !== "damaged") throw error;
    return { damage: [error.message], mended: [] };
  });
}

async function connect(thread: SqliteThread, path: string): Promise<SqliteConnection> {
  const connection = await thread.connect(path);
  try {
    await configure(path, connection);
    await standing(connection);
    await connection.watch(path);
    return connection;
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

/**
 * Opens it without anything that has to be written for that: the index of the write-ahead log is kept in memory, which nobody else
 * can share.
 *
 * @throws CastellanError `unwritable` if a file of an earlier release would have to be brought up to date
 */
async function openToRead(
  thread: SqliteThread,
  path: string,
  migrations: readonly string[],
  unwritable: CastellanError,
): Promise<SqliteConnection> {
  const connection = await connectToRead(thread, path);
  try {
    const facts = await factsOf(connection);
    refuseForeign(path, facts, migrations.length);
    if (facts.version === migrations.length) return connection;
    if (verdictOn(facts, migrations.length) !== "empty") throw unwritable;
    await connection.close();
    const empty = await thread.connect(":memory:");
    await migrate(empty, 0, migrations);
    return empty;
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

async function connectToRead(thread: SqliteThread, path: string): Promise<SqliteConnection> {
  if (!isThere(path)) return await thread.connect(":memory:");
  if (!isThere(`${path}-wal`)) return await thread.connect(`${pathToFileURL(path)}?immutable=1`, { readOnly: true });
  const connection = await thread.connect(path);
  await connection.exec("PRAGMA locking_mode = EXCLUSIVE");
  return connection;
}

/** Whether something stands in a file. */
function isThere(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** It is looked at again once it is locked, and may be locked as a whole by its owner, who has no room. */
function ignoreUnread(error: unknown): void {
  if (faultOf(error) !== "no_space" && !isBusy(error)) throw error;
}

async function configure(path: string, connection: SqliteConnection): Promise<void> {
  const mode = (await connection.get("PRAGMA journal_mode = WAL"))?.["journal_mode"];
  if (mode !== "wal") {
    const advice = "Name a path on a local disk.";
    throw fault(path, "failed", "its file system has no memory that processes share", { advice });
  }
  await connection.exec(SETTINGS);
}

/** How long an application that has just taken the lock may take to say who it is, and how often that is looked at. */
const INTRODUCTION_MS = 2_000;
const POLL_MS = 20;

/**
 * Takes the lock that makes an application the only one on a journal, for as long as it stays open. It is on a file of its own, which is never
 * deleted, so that others can read the journal meanwhile.
 *
 * @throws CastellanError `JOURNAL_IN_USE`
 */
async function takeLock(thread: SqliteThread, path: string, clock: Clock): Promise<FileLock> {
  const deadline = clock.monotonic() + INTRODUCTION_MS;
  const tryLock = await fileLocks();
  for (;;) {
    const lock = tryLock(`${path}-owner`);
    if (lock !== undefined) return lock;
    // Right after the death of an owner, what it left in the file is still there while the next one holds the lock already.
    const owner = await ownerIn(thread, path);
    if (owner !== undefined && !isGone(owner)) throw inUse(path, owner);
    if (clock.monotonic() >= deadline) throw owner === undefined ? inUseByUnknown(path) : inUse(path, owner);
    await pause(clock, POLL_MS);
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
