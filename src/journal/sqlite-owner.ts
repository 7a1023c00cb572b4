import type { JournalOwner } from "./journal.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import type { SqliteConnection, SqliteThread } from "./sqlite-thread.ts";
import { fromText, toText } from "./stored-text.ts";

/** Says in the file whose it is; the lock is what makes it so. Batches count from 1 again. */
export async function claim(connection: SqliteConnection, { id, pid, host, startedAt }: JournalOwner): Promise<void> {
  const sql = "INSERT OR REPLACE INTO owner (only, id, pid, host, started_at, written) VALUES (1, ?, ?, ?, ?, 0)";
  await connection.change(sql, toText(id), pid, toText(host), startedAt);
}

/** The statement that says in the file that it is nobody's, unless it is somebody else's by now. */
export function disclaiming({ id }: JournalOwner): Step {
  return { sql: "DELETE FROM owner WHERE id = ?", parameters: [toText(id)] };
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
