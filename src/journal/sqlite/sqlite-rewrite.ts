import { SqliteThread } from "./sqlite-thread.ts";

/** How long somebody else who reads, or writes by hand, is waited for, in milliseconds. */
const BUSY_MS = 2_000;

/**
 * Writes a SQLite file anew, so that nothing stands in it, or in its write-ahead log, but what it says by now. `secure_delete` is not
 * enough for that: when SQLite moves rows from one page to another it leaves their bytes where they were.
 *
 * It takes as long as a copy of the file, in a thread of its own. Nobody in this process may write to the file meanwhile.
 *
 * @throws Error with the `errcode` of SQLite
 */
export async function rewrite(path: string): Promise<void> {
  const thread = new SqliteThread();
  try {
    const connection = await thread.connect(path, { busyMs: BUSY_MS });
    try {
      // `VACUUM` copies all that counts into fresh pages; the checkpoint brings them into the file and empties the log.
      await connection.exec("VACUUM");
      const left = await connection.get("PRAGMA wal_checkpoint(TRUNCATE)");
      if (left?.["busy"] !== 0) {
        throw new Error("another program reads it, so that what was removed is still in its write-ahead log");
      }
    } finally {
      await connection.close();
    }
  } finally {
    await thread.end();
  }
}
