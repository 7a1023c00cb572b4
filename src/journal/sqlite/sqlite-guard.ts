import { pause } from "../../clock.ts";
import type { CastellanError } from "../../errors.ts";
import { fault } from "./sqlite-fault.ts";
import type { Examined, Found, Run, Running, Step } from "./sqlite-messages.ts";
import { connectAgain, type OpenFile } from "./sqlite-opening.ts";
import { standing } from "./sqlite-owner.ts";
import { isIndexOf, readLog } from "./sqlite-wal.ts";

/** How often in a row another program may have written in between. */
const TRIES = 20;

/** How long the database may stand still while something is copied into it, and how often it is looked at. */
const COPYING_MS = 1_000;
const POLL_MS = 50;

/**
 * Changes a file, in one transaction, unless something has become of it that SQLite does not notice: it was deleted, replaced or
 * written to by something else. What is written then would be lost.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`, with `applied: false`; as `SqliteThread.ask`
 */
export async function change(file: OpenFile, steps: readonly Step[], running: Running = {}): Promise<Run> {
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (file.broken !== undefined) throw file.broken;
    const run = await file.connection.run(steps, { ...running, transaction: true, checked: true, writes: true });
    if (run.found === undefined) return run;
    await judge(file, run.found);
  }
  throw fault(file.path, "busy", "another program keeps writing to it", { applied: false });
}

/**
 * Resolves if another program has written to the file by way of SQLite. Otherwise it saves what can be saved.
 *
 * @throws CastellanError `JOURNAL_UNAVAILABLE`
 */
async function judge(file: OpenFile, { gone }: Found): Promise<void> {
  const { wal, shm, overwritten, forged } = await examine(file);
  if (overwritten) {
    // It may be a backup, which would be spoiled by what is in the log.
    await file.connection.setAside();
    const log = `What was still in its log is kept in ${file.path}-wal-saved`;
    throw giveUp(file, `something other than SQLite has written to it while it was open. ${log}`);
  }
  const isSound = isIndexOf(shm, readLog(wal));
  // An index that is made anew says of nothing in the log that it stands in the database, too, which does no harm.
  if (!isSound || forged) await file.connection.reindex();
  if (!(await hasAll(file))) throw giveUp(file, "what was written last was destroyed in it while it was open");
  if (gone[""] !== undefined) {
    // Whatever lies at its path now must not be mixed with what is in the log.
    await empty(file);
    throw goneError(file, "it", gone[""], "Put it back, or start the application again to begin with what is there.");
  }
  const part = gone["-wal"] === undefined ? "-shm" : "-wal";
  if (gone[part] !== undefined) {
    if (!(await empty(file))) throw goneError(file, `its ${part} file`, gone[part], "Start the application again.");
    await connectAgain(file);
    if (!(await hasAll(file))) throw giveUp(file, `what was written last was lost with its ${part} file`);
    throw goneError(file, `its ${part} file`, gone[part], "Nothing is lost, and it goes on by itself.");
  }
  await file.connection.settle();
  if (isSound) return;
  const advice = "It has been made anew, nothing is lost, and it goes on by itself.";
  throw fault(file.path, "unreachable", "its -shm file was damaged while it was open", { applied: false, advice });
}

/** While another program copies the log into the database it is not to be seen yet that it is that. */
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

/** Whether all that was written is there, or it is another application's by now. */
async function hasAll({ connection, owner, formerOwner, written: expected }: OpenFile): Promise<boolean> {
  const { id, written } = await standing(connection);
  return id === owner.id ? written >= expected : id !== undefined && id !== formerOwner;
}

/** Brings all that is in the log into the file. */
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
    "It takes nothing more. Stop the application, and put a backup in its location, without -wal and -shm files, or start it again " +
    "to go on with what is left.";
  file.broken = fault(file.path, "damaged", what, { applied: false, advice });
  return file.broken;
}
