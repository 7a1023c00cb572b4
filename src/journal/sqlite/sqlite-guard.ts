import { pause } from "../../clock.ts";
import type { CastellanError } from "../../errors.ts";
import { fault } from "./sqlite-fault.ts";
import type { Examined, Found, Run, Running, Step } from "./sqlite-messages.ts";
import { type OpenFile, reconnect } from "./sqlite-opening.ts";
import { recordedOwner } from "./sqlite-owner.ts";
import { isIndexOf, readLog } from "./sqlite-wal.ts";

/** Maximum number of consecutive attempts while another program writes. */
const TRIES = 20;

/** How long another program's copy into the database may stall, and the poll interval, in milliseconds. */
const COPYING_MS = 1_000;
const POLL_MS = 50;

/**
 * Changes a file in one transaction, unless something happened to it that SQLite does not notice: it was deleted,
 * replaced, or written by other means. A write would then be lost.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`, with `applied: false`; as `SqliteThread.ask`
 */
export async function change(file: OpenFile, steps: readonly Step[], running: Running = {}): Promise<Run> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (file.broken !== undefined) throw file.broken;
    const run = await file.connection.run(steps, { ...running, transaction: true, checked: true, writes: true });
    if (run.found === undefined) return run;
    await diagnose(file, run.found);
  }
  throw fault(file.path, "busy", "another program keeps writing to the file", { applied: false });
}

/**
 * Resolves if another program has written to the file through SQLite. Otherwise saves what it can, and throws.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
async function diagnose(file: OpenFile, { gone }: Found): Promise<void> {
  const { wal, shm, overwritten, forged } = await examine(file);
  if (overwritten) {
    // The file may be a backup, which the log would damage.
    await file.connection.saveLog();
    const log = `The contents of its log are kept in ${file.path}-wal-saved`;
    throw giveUp(file, `another program has overwritten the file while it was open. ${log}`);
  }
  const isIndexIntact = isIndexOf(shm, readLog(wal));
  // A rebuilt index marks nothing in the log as copied into the database, which is harmless.
  if (!isIndexIntact || forged) await file.connection.reindex();
  if (!(await hasAll(file))) throw giveUp(file, "the last writes were destroyed while the file was open");
  if (gone[""] !== undefined) {
    // Whatever is at the path now must not be mixed with the log.
    await empty(file);
    throw goneError(file, "the file", gone[""], "Put it back, or restart the application to use what is there now.");
  }
  const part = gone["-wal"] === undefined ? "-shm" : "-wal";
  if (gone[part] !== undefined) {
    if (!(await empty(file))) throw goneError(file, `its ${part} file`, gone[part], "Restart the application.");
    await reconnect(file);
    if (!(await hasAll(file))) throw giveUp(file, `the last writes were lost with its ${part} file`);
    throw goneError(file, `its ${part} file`, gone[part], "Nothing is lost, and the journal recovers by itself.");
  }
  await file.connection.settle();
  if (isIndexIntact) return;
  const advice = "Castellan has rebuilt it. Nothing is lost, and the journal recovers by itself.";
  throw fault(file.path, "unreachable", "its -shm file was damaged while it was open", { applied: false, advice });
}

/** Waits while another program copies the log into the database: until then its write looks like an overwrite. */
async function examine(file: OpenFile): Promise<Examined> {
  let examined = await file.connection.examine();
  let since = file.clock.monotonic();
  while (examined.overwritten && file.clock.monotonic() - since < COPYING_MS) {
    await pause(file.clock, POLL_MS);
    const next = await file.connection.examine();
    if (next.database !== examined.database) since = file.clock.monotonic();
    examined = next;
  }
  return examined;
}

/** Whether all writes of this owner are there, or another application owns the file now. */
async function hasAll({ connection, owner, formerOwner, written: expected }: OpenFile): Promise<boolean> {
  // A file whose log was never copied into it may have lost its tables, too.
  const table = await connection.get("SELECT 1 FROM sqlite_schema WHERE name = 'owner'");
  if (table === undefined) return false;
  const { id, written } = await recordedOwner(connection);
  return id === owner.id ? written >= expected : id !== undefined && id !== formerOwner;
}

/** Copies the whole log into the file. */
async function empty({ connection }: OpenFile): Promise<boolean> {
  const steps = [{ sql: "PRAGMA wal_checkpoint(TRUNCATE)", want: "row" }] as const;
  const { results } = await connection.run(steps, { writes: true, durable: true });
  await connection.settle();
  const [left] = results;
  return typeof left === "object" && "busy" in left && left["busy"] === 0;
}

function goneError(file: OpenFile, what: string, how: "deleted" | "replaced", advice: string): CastellanError {
  const done = how === "deleted" ? "deleted" : "replaced by another file";
  return fault(file.path, "unreachable", `${what} was ${done} while it was open`, { applied: false, advice });
}

function giveUp(file: OpenFile, what: string): CastellanError {
  const advice =
    "The journal accepts no more writes. Stop the application and restore a backup without -wal and -shm files, or restart the " +
    "application to continue with what is left.";
  file.broken = fault(file.path, "damaged", what, { applied: false, advice });
  return file.broken;
}
