import { type EventQuery, PAGE_BYTES, rangeOf } from "../model/event-entry.ts";
import { EVENTS_CHUNK, LOGS_CHUNK, type PrunableEvent, type PrunableLog } from "../model/event-pruning.ts";
import { toText } from "../model/stored-text.ts";
import { renewedIn } from "./sqlite-checksum.ts";
import type { Row, Step } from "./sqlite-messages.ts";

/* A position is the id of a log, shifted by 32 bits, plus the number of an event, which is never 0. */

/** The positions of all events of a session. */
const ALL_OF_SESSION = "WITH bounds(low, high) AS (SELECT id << 32, (id + 1) << 32 FROM event_logs WHERE session = ?)";

/** The positions of the events of a log, by its id, up to a number. */
const UP_TO = "WITH bounds(low, high) AS (SELECT ? << 32, (? << 32 | ?) + 1)";

function inBounds(position: string): string {
  return `${position} > (SELECT low FROM bounds) AND ${position} < (SELECT high FROM bounds)`;
}

/** Deletes the contents to which only events in the bounds refer. */
const CONTENTS_IN_BOUNDS = `DELETE FROM contents
  WHERE hash IN (SELECT hash FROM event_contents WHERE ${inBounds("position")})
  AND NOT EXISTS (SELECT 1 FROM event_contents AS other
    WHERE other.hash = contents.hash AND NOT (${inBounds("other.position")}))`;

/** The positions of the first and of the last event of a row of `event_logs`. */
const FIRST = "(SELECT min(position) FROM events WHERE position > id << 32 AND position < (id + 1) << 32)";
const LAST = "(SELECT max(position) FROM events WHERE position > id << 32 AND position < (id + 1) << 32)";

const statements = {
  /* The end of each log: of its last event, or of the last deleted one if there is none. */
  heads: `SELECT id, session, coalesce(last.position & 4294967295, pruned_number) AS number,
      coalesce(last.end_offset, pruned_offset) AS end_offset
    FROM event_logs LEFT JOIN events AS last ON last.position = ${LAST}
    WHERE session IN (SELECT value FROM json_each(?))`,
  nextLog: "SELECT coalesce(max(seq), 0) + 1 AS id FROM sqlite_sequence WHERE name = 'event_logs'",
  beginLog: "INSERT INTO event_logs (id, session, pruned_number, pruned_offset, checksum) VALUES (?, ?, 0, 0, ?)",
  append: `INSERT INTO events (position, at, type, turn, end_offset, contents, checksum, body)
    VALUES (? << 32 | ?, ?, ?, ?, ?, ?, ?, ?)`,
  refer: "INSERT INTO event_contents (hash, position) VALUES (?, ? << 32 | ?)",
  storeContent: "INSERT OR IGNORE INTO contents (hash, media_type, checksum, data) VALUES (?, ?, ?, ?)",

  forgetContents: `${ALL_OF_SESSION} ${CONTENTS_IN_BOUNDS}`,
  forgetReferences: `${ALL_OF_SESSION} DELETE FROM event_contents WHERE ${inBounds("position")}`,
  forgetEvents: `${ALL_OF_SESSION} DELETE FROM events WHERE ${inBounds("position")}`,
  forgetLog: "DELETE FROM event_logs WHERE session = ?",

  content: "SELECT * FROM contents WHERE hash = ?",
  log: `SELECT *, ${FIRST} & 4294967295 AS first_number FROM event_logs WHERE session = ?`,
  /* One row, as for a page. */
  last: `SELECT position >> 32 AS log, position & 4294967295 AS number, at, type, turn, end_offset, contents, checksum, body
    FROM events WHERE position = (SELECT ${LAST} FROM event_logs WHERE session = ?)`,

  logs: `SELECT id, pruned_offset, first.position & 4294967295 AS first_number, first.at AS first_at,
      last.position & 4294967295 AS last_number, last.end_offset AS last_offset
    FROM (SELECT * FROM event_logs WHERE id > ? ORDER BY id LIMIT ${LOGS_CHUNK})
      LEFT JOIN events AS first ON first.position = ${FIRST} LEFT JOIN events AS last ON last.position = ${LAST}`,
  oldest: `SELECT position & 4294967295 AS number, at, end_offset FROM events
    WHERE position > ? << 32 AND position < (? + 1) << 32
    ORDER BY position LIMIT ${EVENTS_CHUNK}`,
  pruneContents: `${UP_TO} ${CONTENTS_IN_BOUNDS}`,
  pruneReferences: `${UP_TO} DELETE FROM event_contents WHERE ${inBounds("position")}`,
  pruneEvents: `${UP_TO} DELETE FROM events WHERE ${inBounds("position")}`,
  markPruned: `UPDATE event_logs SET pruned_number = ?, pruned_offset = ?,
      checksum = ${renewedIn("event_logs", { pruned_number: "?", pruned_offset: "?" })}
    WHERE id = ? AND pruned_number < ?`,
};

export const EVENT_SQL: { readonly [Name in keyof typeof statements]: string } = statements;

/** Returns the query for a page of events. */
export function eventsQuestion(query: EventQuery): { readonly sql: string; readonly parameters: (string | number)[] } {
  const { after, before, descending, limit } = rangeOf(query);
  const { turn, types } = query;
  const order = descending ? "DESC" : "ASC";
  const bounds = `WITH bounds(low, high) AS (
    SELECT id << 32 | ?, (id << 32) + CAST(? AS INTEGER) FROM event_logs WHERE session = ?)`;
  const parameters: (string | number)[] = [after, before, toText(query.session)];
  const typeList = types === undefined ? undefined : JSON.stringify([...new Set(types.map(toText))]);
  let found: string;
  if (turn === undefined && typeList !== undefined) {
    // One range of the index per type, each no longer than the page.
    found = `SELECT events.position, octet_length(body) AS size FROM json_each(?) AS wanted JOIN events
      ON events.position IN (SELECT position FROM events WHERE type = wanted.value AND ${inBounds("position")}
        ORDER BY position ${order} LIMIT ?)
      ORDER BY events.position ${order} LIMIT ?`;
    parameters.push(typeList, limit, limit);
  } else {
    const conditions = [inBounds("position")];
    if (turn !== undefined) {
      conditions.push("turn = ?");
      parameters.push(toText(turn));
    }
    if (typeList !== undefined) {
      // The plus keeps SQLite from using the index of types, which has more entries than that of turns.
      conditions.push("+type IN (SELECT value FROM json_each(?))");
      parameters.push(typeList);
    }
    found = `SELECT position, octet_length(body) AS size FROM events WHERE ${conditions.join(" AND ")}
      ORDER BY position ${order} LIMIT ?`;
    parameters.push(limit);
  }
  const sql = `${bounds} SELECT position >> 32 AS log, position & 4294967295 AS number, at, type, turn, end_offset, contents,
      checksum, body FROM events
    WHERE position IN (SELECT position FROM (
      SELECT position, size, sum(size) OVER (ORDER BY position ${order} ROWS UNBOUNDED PRECEDING) AS total FROM (${found}))
      WHERE total <= ${PAGE_BYTES} OR total = size)
    ORDER BY position ${order}`;
  return { sql, parameters };
}

export function prunableLogOf(row: Row): PrunableLog {
  const number = Number(row["first_number"]);
  return {
    id: String(row["id"]),
    first: row["first_number"] === null ? undefined : { number, at: Number(row["first_at"]) },
    startOffset: Number(row["pruned_offset"]),
    number: Number(row["last_number"]),
    endOffset: Number(row["last_offset"]),
  };
}

export function prunableEventOf(row: Row): PrunableEvent {
  return { number: Number(row["number"]), at: Number(row["at"]), endOffset: Number(row["end_offset"]) };
}

/** Returns the statements that delete the events of a log up to this one, and the contents of no other events. */
export function deletingUpTo({ id }: PrunableLog, { number, endOffset }: PrunableEvent): Step[] {
  const log = Number(id);
  const names = ["pruneContents", "pruneReferences", "pruneEvents"] as const;
  return [
    ...names.map((name) => ({ sql: EVENT_SQL[name], parameters: [log, log, number] })),
    { sql: EVENT_SQL.markPruned, parameters: [number, endOffset, number, endOffset, log, number] },
  ];
}
