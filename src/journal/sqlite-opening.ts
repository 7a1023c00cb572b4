import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../clock.ts";
import type { FileLock } from "./file-lock.ts";
import type { JournalOwner } from "./journal.ts";
import { connect } from "./sqlite-connection.ts";
import { fault } from "./sqlite-fault.ts";
import { identityOf, locate, makeFile, refuseUnwritable } from "./sqlite-file.ts";
import { factsOf, inspect, refuseForeign } from "./sqlite-inspection.ts";
import { takeLock } from "./sqlite-lock.ts";
import { migrate } from "./sqlite-migration.ts";
import { claim, disclaim, ownerIn } from "./sqlite-owner.ts";
import { prepareStatements, type Statements } from "./sqlite-statements.ts";

/** A file that is open, and this owner's. */
export interface OpenFile {
  readonly path: string;
  readonly owner: JournalOwner;
  readonly database: DatabaseSync;
  readonly statements: Statements;
  readonly lock: FileLock;
  identity: string | undefined;
  /** Whether commits wait for the disk. */
  durable: boolean;
}

/** What a file is opened with, besides. */
export interface Opening {
  readonly owner: JournalOwner;
  readonly clock: Clock;
  readonly migrations: readonly string[];
}

const SETTINGS = `
  -- How much of the WAL is kept for reuse after somebody's long read has made it grow, in bytes.
  PRAGMA journal_size_limit = 16777216;
  -- On macOS a disk says that it has written what it only has in its cache, unless it is asked like this.
  PRAGMA fullfsync = 1;
`;

/** Opens the file at `place` for one owner, makes it if it is not there, and brings it up to date. */
export async function openFile(place: string, { owner, clock, migrations }: Opening): Promise<OpenFile> {
  const path = locate(place);
  refuseUnwritable(dirname(path));
  await inspect(path, migrations.length);
  const lock = await takeLock(path, clock);
  let database: DatabaseSync | undefined;
  try {
    makeFile(path);
    database = await connect(path);
    const facts = factsOf(database);
    // Again, since it may have changed before the lock was taken.
    refuseForeign(path, facts, migrations.length);
    useWal(path, database);
    database.exec(SETTINGS);
    const claimed = database;
    migrate(database, facts.version, migrations, () => claim(claimed, owner));
    const statements = prepareStatements(database);
    return { path, owner, database, statements, lock, identity: identityOf(path), durable: true };
  } catch (error) {
    closeQuietly(database);
    closeQuietly(lock);
    throw error;
  }
}

/** Closes it. What is in the WAL goes into the file, unless somebody still reads. */
export function closeFile({ database, owner, lock }: OpenFile): void {
  try {
    disclaim(database, owner);
  } catch {
    // A disk that is full. The lock decides.
  }
  closeQuietly(database);
  closeQuietly(lock);
}

/** Makes the commits that follow wait for the disk, or not. */
export function waitForDisk(file: OpenFile, durable: boolean): void {
  if (file.durable === durable) return;
  file.database.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`);
  file.durable = durable;
}

/** A file that was deleted or replaced would take what is written, and lose it when it is closed. */
export function seemsReplaced({ path, identity }: OpenFile): boolean {
  return identityOf(path) !== identity;
}

/**
 * Looks again, since some file systems number their files anew now and then.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
export async function refuseIfReplaced(file: OpenFile): Promise<void> {
  const identity = identityOf(file.path);
  const owner = identity === undefined ? undefined : await ownerIn(file.path);
  if (owner?.id === file.owner.id) {
    file.identity = identity;
    return;
  }
  const what = `it was ${identity === undefined ? "deleted" : "replaced by another file"} while it was open`;
  const advice = "Put it back, or start the application again to begin with what is there.";
  throw fault(file.path, "unreachable", what, { applied: false, advice });
}

function useWal(path: string, database: DatabaseSync): void {
  const mode = database.prepare("PRAGMA journal_mode = WAL").get()?.["journal_mode"];
  if (mode === "wal") return;
  const advice = "Name a path on a local disk.";
  throw fault(path, "failed", "its file system has no memory that processes share", { advice });
}

function closeQuietly(open: { close(): void } | undefined): void {
  try {
    open?.close();
  } catch {
    // Nobody can do anything about it.
  }
}
