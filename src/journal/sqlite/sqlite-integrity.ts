import { checksumIn } from "./sqlite-checksum.ts";
import type { SqliteConnection } from "./sqlite-thread.ts";

/** What is wrong with a file. */
export interface IntegrityReport {
  readonly damage: readonly string[];
  /** What was wrong and is repaired. */
  readonly repaired: readonly string[];
}

/** Maximum number of problems to name. */
const MOST = 10;

/** A problem of an index alone: the table has the row. */
const OF_INDEX = /^row \d+ missing from index /;

/** Rows that are found by their own columns: a row with a changed key is not found, and so never read. */
const FOUND_BY_KEY = ["sessions", "spending", "event_logs", "transcripts"] as const;

/**
 * Labels whose session does not have them. The comparison of labels keeps SQLite from reading the index of sessions, whose
 * copy of a damaged row may be intact.
 */
const STRAY_LABELS = `SELECT count(*) AS damaged FROM session_labels AS row WHERE label >= '' AND NOT EXISTS (
  SELECT 1 FROM sessions, json_each(sessions.labels) AS own
  WHERE sessions.key = row.key AND own.key = row.label AND own.value = row.value)`;

const FOUND_BY_INDEX = [
  `SELECT count(*) AS damaged FROM turns WHERE accepted_checksum IS NOT ${checksumIn("accepted")}
    OR progress_checksum IS NOT ${checksumIn("progress")}`,
  `SELECT count(*) AS damaged FROM approvals WHERE checksum IS NOT ${checksumIn("approvals")}`,
  `SELECT count(*) AS damaged FROM jobs WHERE checksum IS NOT ${checksumIn("jobs")}`,
  `SELECT count(*) AS damaged FROM deliveries WHERE checksum IS NOT ${checksumIn("deliveries")}`,
  `SELECT count(*) AS damaged FROM conversations WHERE checksum IS NOT ${checksumIn("conversations")}`,
  `SELECT count(*) AS damaged FROM events WHERE checksum IS NOT ${checksumIn("events")}`,
  `SELECT count(*) AS damaged FROM contents WHERE checksum IS NOT ${checksumIn("contents")}`,
  `SELECT count(*) AS damaged FROM transcript_parts WHERE checksum IS NOT ${checksumIn("transcript_parts")}`,
];

/**
 * Finds damage that no read would notice: rows that are not found any more. Reads notice all other damage. Repairs
 * indexes if SQLite finds nothing else wrong, and the rows that indexes find are intact.
 *
 * Takes about four seconds per GB of a cached file.
 *
 * @param repairs whether the connection may write, and is the only one
 * @throws Error with the `errcode` of SQLite
 */
export async function checkIntegrity(connection: SqliteConnection, repairs: boolean): Promise<IntegrityReport> {
  const damaged: string[] = [];
  for (const table of FOUND_BY_KEY) {
    const sql = `SELECT count(*) AS damaged FROM ${table} WHERE checksum IS NOT ${checksumIn(table)}`;
    const count = await countOf(connection, sql);
    if (count > 0) damaged.push(`damaged rows in ${table}: ${count}`);
  }
  // A label that is damaged itself, or in the description of its session, which a read then refuses.
  const stray = await countOf(connection, STRAY_LABELS).catch(() => 1);
  if (stray > 0) damaged.push(`damaged rows in session_labels: ${stray}`);
  const wrong = await integrityCheck(connection);
  const damage = [...wrong, ...damaged];
  if (!repairs || wrong.length === 0 || !wrong.every((words) => OF_INDEX.test(words))) return { damage, repaired: [] };
  // A rebuilt index over damaged rows would hide that they are not found.
  if (stray > 0) return { damage, repaired: [] };
  for (const sql of FOUND_BY_INDEX) if ((await countOf(connection, sql)) > 0) return { damage, repaired: [] };
  await connection.exec("REINDEX");
  const left = await integrityCheck(connection);
  return { damage: [...left, ...damaged], repaired: left.length === 0 ? wrong : [] };
}

/** Runs SQLite's check of pages and indexes. It does not check texts. */
async function integrityCheck(connection: SqliteConnection): Promise<string[]> {
  const rows = await connection.all(`PRAGMA integrity_check(${MOST})`);
  const lines = rows.flatMap((row) => String(row["integrity_check"]).split("\n"));
  return lines.filter((words) => words !== "ok" && !words.startsWith("***"));
}

async function countOf(connection: SqliteConnection, sql: string): Promise<number> {
  return Number((await connection.get(sql))?.["damaged"]);
}
