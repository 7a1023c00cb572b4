import type { JournalOwner } from "../model/journal.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { Extent } from "./sqlite-mark.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import type { SqliteConnection, SqliteThread } from "./sqlite-thread.ts";

/** Records the owner in the file; the lock is what makes it the owner. Batch numbers start at 1 again. */
export async function claim(connection: SqliteConnection, owner: JournalOwner): Promise<void> {
  await connection.run([claimStep(owner)]);
}

function claimStep({ id, pid, host, startedAt }: JournalOwner): Step {
  const sql = "INSERT OR REPLACE INTO owner (only, id, pid, host, started_at, written) VALUES (1, ?, ?, ?, ?, 0)";
  return { sql, parameters: [toText(id), pid, toText(host), startedAt] };
}

/** As `claim`, and records the number of the opening, atomically. */
export async function claimOpening(connection: SqliteConnection, owner: JournalOwner, openings: number): Promise<void> {
  const sql = "UPDATE openings SET openings = ?, written = 0";
  await connection.run([claimStep(owner), { sql, parameters: [openings] }], { transaction: true });
}

/** Returns the progress of a file; zero if it records none. */
export async function extentOf(connection: SqliteConnection): Promise<Extent> {
  const known = await connection.get("SELECT 1 FROM sqlite_schema WHERE name = 'openings'");
  if (known === undefined) return { openings: 0, written: 0 };
  const sql = "SELECT openings, coalesce((SELECT written FROM owner), written) AS written FROM openings";
  const row = await connection.get(sql);
  return { openings: Number(row?.["openings"] ?? 0), written: Number(row?.["written"] ?? 0) };
}

/** Returns the statements that remove this owner from the file, unless another one has replaced it. */
export function releasingSteps({ id }: JournalOwner): Step[] {
  const parameters = [toText(id)];
  return [
    { sql: "UPDATE openings SET written = owner.written FROM owner WHERE owner.id = ?", parameters },
    { sql: "DELETE FROM owner WHERE id = ?", parameters },
  ];
}

/** Returns the owner recorded in the file, and the number of its last batch. */
export async function recordedOwner(connection: SqliteConnection): Promise<{ id?: string; written: number }> {
  const row = await connection.get("SELECT id, written FROM owner");
  return row === undefined ? { written: 0 } : { id: fromText(String(row["id"])), written: Number(row["written"]) };
}

/** Returns the present or last owner recorded in the file; undefined if there is none or the file cannot be read. */
export async function ownerIn(thread: SqliteThread, path: string): Promise<JournalOwner | undefined> {
  let connection: SqliteConnection | undefined;
  try {
    connection = await thread.connect(path, { readOnly: true });
    const row = await connection.get("SELECT id, pid, host, started_at FROM owner");
    return row === undefined ? undefined : ownerOf(row);
  } catch {
    return undefined;
  } finally {
    await connection?.close();
  }
}

function ownerOf(row: Row): JournalOwner {
  return {
    id: fromText(String(row["id"])),
    pid: Number(row["pid"]),
    host: fromText(String(row["host"])),
    startedAt: Number(row["started_at"]),
  };
}
