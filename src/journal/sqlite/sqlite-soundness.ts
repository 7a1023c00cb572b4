import { checksumIn } from "./sqlite-checksum.ts";
import type { SqliteConnection } from "./sqlite-thread.ts";

/** What is wrong with a file, in words; nothing if nothing is. */
export interface Soundness {
  readonly damage: readonly string[];
  /** What was wrong with it before. */
  readonly mended: readonly string[];
}

/** More than that need not be named. */
const MOST = 10;

/** What an index lacks can be read in its table. */
const OF_INDEX = /^row \d+ missing from index /;

/** Rows that are found by what stands in themselves: one whose key has changed is not found, and so not read. */
const FOUND_BY_KEY = ["sessions", "spending"] as const;

const FOUND_BY_INDEX = [
  `SELECT count(*) AS garbled FROM turns WHERE accepted_checksum IS NOT ${checksumIn("accepted")}
    OR progress_checksum IS NOT ${checksumIn("progress")}`,
  `SELECT count(*) AS garbled FROM approvals WHERE checksum IS NOT ${checksumIn("approvals")}`,
  `SELECT count(*) AS garbled FROM conversations WHERE checksum IS NOT ${checksumIn("conversations")}`,
];

/**
 * Looks for what nobody would notice who reads a file: rows that are not found any more. All other damage is found when a row is read. What is
 * wrong only with indexes is mended.
 *
 * It takes about four seconds for each GB, as far as the file is in memory.
 *
 * @param mends whether the connection may write, and nobody else does
 * @throws Error with the `errcode` of SQLite
 */
export async function examine(connection: SqliteConnection, mends: boolean): Promise<Soundness> {
  const garbled: string[] = [];
  for (const table of FOUND_BY_KEY) {
    const sql = `SELECT count(*) AS garbled FROM ${table} WHERE checksum IS NOT ${checksumIn(table)}`;
    const count = await countOf(connection, sql);
    if (count > 0) garbled.push(`${count} of its rows of ${table} are not what was written`);
  }
  const wrong = await integrity(connection);
  const damage = [...wrong, ...garbled];
  if (!mends || wrong.length === 0 || !wrong.every((words) => OF_INDEX.test(words))) return { damage, mended: [] };
  // An index made out of rows that are not what was written would hide that they are not found.
  for (const sql of FOUND_BY_INDEX) if ((await countOf(connection, sql)) > 0) return { damage, mended: [] };
  await connection.exec("REINDEX");
  const left = await integrity(connection);
  return { damage: [...left, ...garbled], mended: left.length === 0 ? wrong : [] };
}

/** What SQLite finds in pages and indexes. It does not look into texts. */
async function integrity(connection: SqliteConnection): Promise<string[]> {
  const rows = await connection.all(`PRAGMA integrity_check(${MOST})`);
  const lines = rows.flatMap((row) => String(row["integrity_check"]).split("\n"));
  return lines.filter((words) => words !== "ok" && !words.startsWith("***"));
}

async function countOf(connection: SqliteConnection, sql: string): Promise<number> {
  return Number((await connection.get(sql))?.["garbled"]);
}
