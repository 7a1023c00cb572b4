import { statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Clock, pause } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { isAlive } from "../../live-process.ts";
import type { JournalOwner } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { type FileLock, fileLocks } from "./file-lock.ts";
import { fault, faultOf, isBusy, unavailable } from "./sqlite-fault.ts";
import { locate, makeFile, refuseUnwritable } from "./sqlite-file.ts";
import { factsOf, inspect, refuseForeign, verdictOn } from "./sqlite-inspection.ts";
import { checkIntegrity, type IntegrityReport } from "./sqlite-integrity.ts";
import { formatMark, type Mark, machineBootId, missingFrom, readMark } from "./sqlite-mark.ts";
import { claim, claimOpening, extentOf, ownerIn, recordedOwner } from "./sqlite-owner.ts";
import { migrate } from "./sqlite-schema.ts";
import { type SqliteConnection, SqliteThread } from "./sqlite-thread.ts";

/** An open file that this owner has locked. */
export interface OpenFile {
  readonly path: string;
  readonly owner: JournalOwner;
  readonly clock: Clock;
  thread: SqliteThread;
  connection: SqliteConnection;
  /** Undefined while there is no file to lock. */
  lock: FileLock | undefined;
  /** Why the file was opened read-only, if it was. */
  unwritable: CastellanError | undefined;
  /** Id of the previous owner. */
  readonly formerOwner: string | undefined;
  /** Undefined for a large file, see `checkLargeFile`. */
  readonly integrity: IntegrityReport | undefined;
  /** What the file has lost since it was last written, in words. */
  readonly missing: string | undefined;
  /** Number of this opening, and boot id of the machine. */
  opening: Pick<Mark, "openings" | "boot">;
  /** Number of the last batch, and of the last one for which the disk was waited. */
  written: number;
  durable: number;
  /** Why the file accepts no more writes, for good. */
  broken: CastellanError | undefined;
}

/** Parameters of an opening. */
export interface Opening {
  readonly owner: JournalOwner;
  readonly clock: Clock;
  readonly migrations: readonly string[];
}

/** Larger files are checked in the background, in bytes. */
const SMALL = 64 * 1024 ** 2;

const INTACT: IntegrityReport = { damage: [], repaired: [] };

/** How long to wait for another program's lock, and the poll interval, in milliseconds. */
const BUSY_MS = 5_000;
const RETRY_MS = 50;

const SETTINGS = `
  -- How many bytes of the WAL to keep after a long read has made it grow.
  PRAGMA journal_size_limit = 16777216;
  -- On macOS fsync does not flush the disk's cache; F_FULLFSYNC does.
  PRAGMA fullfsync = 1;
`;

/**
 * Opens, creates or migrates the file at `location` for one owner, in a thread that becomes the file's. If there is no space for
 * that, opens it read-only, see `OpenFile.unwritable`.
 */
export async function openFile(thread: SqliteThread, location: string, opening: Opening): Promise<OpenFile> {
  const { owner, clock, migrations } = opening;
  const known = { owner, clock, thread, unwritable: undefined, written: 0, durable: 0, broken: undefined };
  let path = resolve(location);
  let lock: FileLock | undefined;
  try {
    path = locate(location);
    refuseUnwritable(dirname(path));
    await inspect(thread, path, migrations.length).catch(ignoreUnreadable);
    lock = await takeLock(thread, path, clock);
    return { ...known, path, lock, ...(await openWritable(thread, path, opening, resolve(location))) };
  } catch (error) {
    try {
      if (faultOf(error) !== "no_space" || (lock === undefined && hasContents(path))) throw error;
      const unwritable = unavailable(path, error, false);
      const connection = await openToRead(thread, path, migrations, unwritable);
      const opening = { openings: 0, boot: "" };
      const nothing = { formerOwner: undefined, integrity: INTACT, missing: undefined, opening };
      return { ...known, path, lock, connection, ...nothing, unwritable };
    } catch (error) {
      lock?.close();
      throw error;
    }
  }
}

/**
 * Completes the opening of a read-only file, now that there may be space.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`; `NOT_OWNER` if there was no file to lock, and another application has
 * locked it since
 */
export async function completeOpening(file: OpenFile, opening: Opening): Promise<OpenFile> {
  const { thread, path } = file;
  await file.connection.close().catch(() => {});
  try {
    const location = locate(path);
    file.lock ??= await takeLock(thread, location, opening.clock);
    const opened = await openWritable(thread, location, opening);
    return { ...file, path: location, ...opened, unwritable: undefined };
  } catch (error) {
    if (CastellanError.is(error, "JOURNAL_IN_USE")) throw new CastellanError("NOT_OWNER", error.message);
    file.connection = await openToRead(thread, path, opening.migrations, unavailable(path, error, false));
    throw error;
  }
}

/** Replaces the connection to a file, without a check of its contents. */
export async function reconnect(file: OpenFile): Promise<void> {
  await file.connection.close().catch(() => {});
  file.connection = await connect(file.thread, file.path);
}

/** As `reconnect`, in a new thread, after the old one has ended by itself. */
export async function restartThread(file: OpenFile): Promise<void> {
  const thread = new SqliteThread();
  try {
    const connection = await connect(thread, file.path);
    Object.assign(file, { thread, connection });
  } catch (error) {
    await thread.end();
    throw error;
  }
}

/** Renews the claim of the same owner. Batch numbers start at 1 again. */
export async function renewClaim(file: OpenFile): Promise<void> {
  const opening = { ...file.opening, openings: file.opening.openings + 1 };
  await claimOpening(file.connection, file.owner, opening.openings);
  await file.connection.mark(formatMark({ ...opening, written: 0, durable: 0 }));
  Object.assign(file, { opening, written: 0, durable: 0 });
}

/** Closes the file. SQLite copies the log into it unless somebody still reads. */
export async function closeFile({ thread, connection, lock }: OpenFile): Promise<void> {
  await connection.close().catch(() => {});
  await thread.end();
  lock?.close();
}

type Opened = Pick<OpenFile, "connection" | "formerOwner" | "integrity" | "missing" | "opening">;

async function openWritable(
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
    // Checks again: the file may have changed before it was locked.
    refuseForeign(path, facts, migrations.length);
    await configure(path, connection);
    const formerOwner = facts.version === 0 ? undefined : (await recordedOwner(connection)).id;
    // The path may be a link now that was a file before.
    const [found, mark, boot] = [await extentOf(connection), readMark(path) ?? readMark(location), machineBootId()];
    const openings = Math.max(found.openings, mark?.openings ?? 0) + 1;
    // Resets a recorded progress only together with the number of the opening.
    const begun = found.openings > 0 ? claimOpening : claim;
    await migrate(connection, facts.version, migrations, () => begun(connection, owner, openings));
    await claimOpening(connection, owner, openings);
    const opening = { openings, boot };
    const integrity = isSmall(path) ? await integrityOf(connection, true) : undefined;
    await connection.watch(path);
    await connection.mark(formatMark({ ...opening, written: 0, durable: 0 }));
    return { connection, formerOwner, integrity, missing: missingFrom(found, mark, boot), opening };
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

/** Checks a large file in a thread of its own. */
export async function checkLargeFile(path: string): Promise<IntegrityReport> {
  const thread = new SqliteThread();
  try {
    return await integrityOf(await thread.connect(path, { readOnly: true }), false);
  } finally {
    await thread.end();
  }
}

function isSmall(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= SMALL;
}

/** A file that cannot be checked counts as damaged. */
async function integrityOf(connection: SqliteConnection, repairs: boolean): Promise<IntegrityReport> {
  return await checkIntegrity(connection, repairs).catch((error: unknown) => {
    if (!(error instanceof Error) || faultOf(error) !== "damaged") throw error;
    return { damage: [error.message], repaired: [] };
  });
}

async function connect(thread: SqliteThread, path: string): Promise<SqliteConnection> {
  const connection = await thread.connect(path);
  try {
    await configure(path, connection);
    await recordedOwner(connection);
    await connection.watch(path);
    return connection;
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

/**
 * Opens the file without a write: SQLite keeps the index of the log in memory, which excludes other processes.
 *
 * @throws CastellanError `unwritable` if the file needs a migration
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
  if (!hasContents(path)) return await thread.connect(":memory:");
  if (!hasContents(`${path}-wal`))
    return await thread.connect(`${pathToFileURL(path)}?immutable=1`, { readOnly: true });
  const connection = await thread.connect(path);
  await connection.exec("PRAGMA locking_mode = EXCLUSIVE");
  return connection;
}

/** Whether the file is not empty. */
function hasContents(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** The file is checked again once it is locked. Its owner may have locked all of it for lack of space. */
function ignoreUnreadable(error: unknown): void {
  if (faultOf(error) !== "no_space" && !isBusy(error)) throw error;
}

async function configure(path: string, connection: SqliteConnection): Promise<void> {
  const mode = (await connection.get("PRAGMA journal_mode = WAL"))?.["journal_mode"];
  if (mode !== "wal") {
    const advice = "Name a path on a local disk.";
    throw fault(path, "failed", "its file system does not support shared memory", { advice });
  }
  await connection.exec(SETTINGS);
}

/** How long a new owner may take to record its identity, and the poll interval, in milliseconds. */
const INTRODUCTION_MS = 2_000;
const POLL_MS = 20;

/**
 * Takes the lock that makes an application the owner of a journal. The lock is on a separate file, so that others can
 * read the journal, and that file is never deleted.
 *
 * @throws CastellanError `JOURNAL_IN_USE`
 */
async function takeLock(thread: SqliteThread, path: string, clock: Clock): Promise<FileLock> {
  const deadline = clock.monotonic() + INTRODUCTION_MS;
  const tryLock = await fileLocks();
  for (;;) {
    const lock = tryLock(`${path}-owner`);
    if (lock !== undefined) return lock;
    // After an owner's death the file still names it while the next owner already has the lock.
    const owner = await ownerIn(thread, path);
    if (owner !== undefined && !isGone(owner)) throw inUse(path, owner);
    if (clock.monotonic() >= deadline) throw owner === undefined ? inUseByUnknown(path) : inUse(path, owner);
    await pause(clock, POLL_MS);
  }
}

/** Whether the process has ended, which can be told only on the same host. */
function isGone({ pid, host }: JournalOwner): boolean {
  return host === hostname() && !isAlive(pid);
}

function inUseByUnknown(path: string): CastellanError {
  const message = `An unknown application owns the journal ${path}: it has locked ${path}-owner. End that application, or give this one another journal.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid: 0, host: "", startedAt: 0 } });
}
