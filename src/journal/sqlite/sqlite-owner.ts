import type { JournalOwner } from "../model/journal.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { Extent } from "./sqlite-mark.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import type { SqliteConnection, SqliteThread } from "./sqlite-thread.ts";

/** Says in the file whose it is; the lock is what makes it so. Batches count from 1 again. */
export async function claim(connection: SqliteConnection, owner: JournalOwner): Promise<void> {
  await connection.run([claiming(owner)]);
}

function claiming({ id, pid, host, startedAt }: JournalOwner): Step {
  const sql = "INSERT OR REPLACE INTO owner (only, id, pid, host, started_at, written) VALUES (1, ?, ?, ?, ?, 0)";
  return { sql, parameters: [toText(id), pid, toText(host), startedAt] };
}

/** The same, and that it is the opening of this number; both or nothing. */
export async function claimOpening(connection: SqliteConnection, owner: JournalOwner, openings: number): Promise<void> {
  const sql = "UPDATE openings SET openings = ?, written = 0";
  await connection.run([claiming(owner), { sql, parameters: [openings] }], { transaction: true });
}

/** How much has been written to a file; nothing to one that does not say. */
export async function extentOf(connection: SqliteConnection): Promise<Extent> {
  const known = await connection.get("SELECT 1 FROM sqlite_schema WHERE name = 'openings'");
  if (known === undefined) return { openings: 0, written: 0 };
  const sql = "SELECT openings, coalesce((SELECT written FROM owner), written) AS written FROM openings";
  const row = await connection.get(sql);
  return { openings: Number(row?.["openings"] ?? 0), written: Number(row?.["written"] ?? 0) };
}

/** The statements that say in the file that it is nobody's, unless it is somebody else's by now. */
export function disclaiming({ id }: JournalOwner): Step[] {
  const parameters = [toText(id)];
  return [
    { sql: "UPDATE openings SET written = owner.written FROM owner WHERE owner.id = ?", parameters },
    { sql: "DELETE FROM owner WHERE id = ?", parameters },
  ];
}

/** Whose the file says that it is, and how many batches that one has written. */
export async function standing(connection: SqliteConnection): Promise<{ id?: string; written: number }> {
  const row = await connection.get("SELECT id, written FROM owner");
  return row === undefined ? { written: 0 } : { id: fromText(String(row["id"])), written: Number(row["written"]) };
}

/** Who the file says it belongs to, or belonged to; `undefined` if it says nothing, or there is none to be read. */
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
