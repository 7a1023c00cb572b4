import type { DatabaseSync } from "node:sqlite";
import type { JournalOwner } from "./journal.ts";
import { connect } from "./sqlite-connection.ts";
import { fromText, toText } from "./stored-text.ts";

/** Says in the file whose it is; the lock is what makes it so. Batches count from 1 again. */
export function claim(database: DatabaseSync, { id, pid, host, startedAt }: JournalOwner): void {
  database
    .prepare("INSERT OR REPLACE INTO owner (only, id, pid, host, started_at, written) VALUES (1, ?, ?, ?, ?, 0)")
    .run(toText(id), pid, toText(host), startedAt);
}

/** Says in the file that it is nobody's, unless it is somebody else's by now. */
export function disclaim(database: DatabaseSync, { id }: JournalOwner): void {
  database.prepare("DELETE FROM owner WHERE id = ?").run(toText(id));
}

/** Who the file says it belongs to, or belonged to; `undefined` if it says nothing, or there is none to be read. */
export async function ownerIn(path: string): Promise<JournalOwner | undefined> {
  let database: DatabaseSync | undefined;
  try {
    database = await connect(path, { readOnly: true });
    const row = database.prepare("SELECT id, pid, host, started_at FROM owner").get();
    if (row === undefined) return undefined;
    return {
      id: fromText(String(row["id"])),
      pid: Number(row["pid"]),
      host: fromText(String(row["host"])),
      startedAt: Number(row["started_at"]),
    };
  } catch {
    return undefined;
  } finally {
    database?.close();
  }
}
