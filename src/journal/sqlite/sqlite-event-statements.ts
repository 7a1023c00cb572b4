import { PAGE_BYTES } from "../model/event-entry.ts";
import type { SegmentQuery } from "../model/event-page.ts";
import { LOGS_CHUNK } from "../model/event-pruning.ts";
import { MOST_EVENTS, markOf } from "../model/event-segment.ts";
import { toText } from "../model/stored-text.ts";
import { renewedIn } from "./sqlite-checksum.ts";

/** Deletes the contents to which only the events that meet a condition refer, and no turn. `other` is the name of an event there. */
function contentsWhere(condition: (of: string) => string): string {
  return `DELETE FROM contents
    WHERE hash IN (SELECT hash FROM event_contents WHERE ${condition("event_contents")})
    AND NOT EXISTS (SELECT 1 FROM event_contents AS other
      WHERE other.hash = contents.hash AND NOT (${condition("other")}))
    AND NOT EXISTS (SELECT 1 FROM turn_contents WHERE turn_contents.hash = contents.hash)`;
}

/** The log of a session, and the events of a log up to a number. */
const LOG = "WITH wanted(log) AS (SELECT id FROM event_logs WHERE session = ?)";
const UP_TO = "WITH wanted(log, number) AS (SELECT ?, ?)";
const isOfLog = (of: string): string => `${of}.log = (SELECT log FROM wanted)`;
const isUpTo = (of: string): string => `${isOfLog(of)} AND ${of}.number <= (SELECT number FROM wanted)`;

/** The first and the last segment of a row of `event_logs`. */
const FIRST = "(SELECT id FROM events WHERE log = event_logs.id ORDER BY first LIMIT 1)";
const LAST = "(SELECT id FROM events WHERE log = event_logs.id ORDER BY first DESC LIMIT 1)";

const COLUMNS = "log, first, last, earliest, latest, turn, types, end_offset, checksum, body";

const statements = {
  /* The end of each log: of its last segment, or of the last deleted event if there is none. */
  heads: `SELECT event_logs.id, session, coalesce(segment.last, pruned_number) AS number,
      coalesce(segment.end_offset, pruned_offset) AS end_offset
    FROM event_logs LEFT JOIN events AS segment ON segment.id = ${LAST}
    WHERE session IN (SELECT value FROM json_each(?))`,
  nextLog: "SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'event_logs'",
  beginLog: "INSERT INTO event_logs (id, session, pruned_number, pruned_offset, checksum) VALUES (?, ?, 0, 0, ?)",
  append: `INSERT INTO events (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  refer: "INSERT INTO event_contents (hash, log, number) VALUES (?, ?, ?)",
  storeContent: "INSERT OR IGNORE INTO contents (hash, media_type, checksum, data) VALUES (?, ?, ?, ?)",

  forgetContents: `${LOG} ${contentsWhere(isOfLog)}`,
  forgetReferences: `${LOG} DELETE FROM event_contents WHERE ${isOfLog("event_contents")}`,
  forgetEvents: `${LOG} DELETE FROM events WHERE ${isOfLog("events")}`,
  forgetLog: "DELETE FROM event_logs WHERE session = ?",

  content: "SELECT * FROM contents WHERE hash = ?",
  contentOf: `SELECT * FROM contents WHERE hash = ?
    AND (EXISTS (SELECT 1 FROM event_contents AS other
        WHERE other.hash = contents.hash AND other.log = (SELECT id FROM event_logs WHERE session = ?))
      OR EXISTS (SELECT 1 FROM turn_contents AS other WHERE other.hash = contents.hash AND other.session = ?))`,
  log: `SELECT *, (SELECT first FROM events WHERE id = ${FIRST}) AS first_number FROM event_logs WHERE session = ?`,
  last: `SELECT ${COLUMNS} FROM events WHERE id = (SELECT ${LAST} FROM event_logs WHERE session = ?)`,

  logs: `SELECT event_logs.id, session, pruned_number, pruned_offset, segment.last AS end_number, segment.end_offset AS end_of_log,
      oldest.first, oldest.last, oldest.earliest, oldest.latest, oldest.end_offset
    FROM (SELECT * FROM event_logs WHERE id > ? ORDER BY id LIMIT ${LOGS_CHUNK}) AS event_logs
      LEFT JOIN events AS segment ON segment.id = ${LAST} LEFT JOIN events AS oldest ON oldest.id = ${FIRST}`,
  oldest: `SELECT first, last, earliest, latest, end_offset FROM events WHERE log = ? ORDER BY first LIMIT ?`,
  segment: `SELECT ${COLUMNS} FROM events WHERE log = ? AND first = ?`,
  pruneContents: `${UP_TO} ${contentsWhere(isUpTo)}`,
  pruneReferences: `${UP_TO} DELETE FROM event_contents WHERE ${isUpTo("event_contents")}`,
  pruneEvents: "DELETE FROM events WHERE log = ? AND first <= ? AND last <= ?",
  cut: `UPDATE events SET first = ?, last = ?, earliest = ?, latest = ?, turn = ?, types = ?, end_offset = ?, checksum = ?, body = ?
    WHERE log = ? AND first = ?`,
  markPruned: `UPDATE event_logs SET pruned_number = ?, pruned_offset = ?,
      checksum = ${renewedIn("event_logs", { pruned_number: "?", pruned_offset: "?" })}
    WHERE id = ? AND pruned_number < ?`,
};

export const EVENT_SQL: { readonly [Name in keyof typeof statements]: string } = statements;

/** Returns the query for the segments of a page. */
export function segmentsQuestion({ session, log, types, turn, after, before, descending, limit }: SegmentQuery): {
  readonly sql: string;
  readonly parameters: (string | number)[];
} {
  const order = descending ? "DESC" : "ASC";
  const parameters: (string | number)[] = [toText(session)];
  const isPresent = log === undefined ? "" : "AND id = ?";
  if (log !== undefined) parameters.push(Number(log));
  const ofLog = "log = (SELECT id FROM wanted)";
  // The first one may begin before the wanted numbers.
  const from = `coalesce((SELECT max(first) FROM events WHERE ${ofLog} AND first <= ?), 0)`;
  const conditions = [ofLog, `first >= ${from}`, "(last > ? OR last < first)", "first < ?"];
  parameters.push(after + 1, after, before);
  if (turn !== undefined) {
    conditions.push("turn = ?");
    parameters.push(toText(turn));
  }
  if (types !== undefined) {
    conditions.push(`(${types.map(() => "instr(types, ?)").join(" OR ") || "false"})`);
    parameters.push(...types.map(markOf));
  }
  const index = turn === undefined ? "events_of_log" : "events_of_turn";
  const found = `SELECT id, first, max(1, min(last - first + 1, ${MOST_EVENTS})) AS count, octet_length(body) AS size FROM events INDEXED BY ${index}
    WHERE ${conditions.join(" AND ")} ORDER BY first ${order} LIMIT ?`;
  parameters.push(limit, limit);
  const earlier = `OVER (ORDER BY first ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)`;
  const sums = `SELECT id, sum(count) ${earlier} AS counted, sum(size) ${earlier} AS sized FROM (${found})`;
  const sql = `WITH wanted(id) AS (SELECT id FROM event_logs WHERE session = ? ${isPresent})
    SELECT ${COLUMNS}, octet_length(body) AS size FROM events WHERE id IN (SELECT id FROM (${sums})
      WHERE counted IS NULL OR (counted < ? AND sized <= ${PAGE_BYTES}))
    ORDER BY first ${order}`;
  return { sql, parameters };
}
