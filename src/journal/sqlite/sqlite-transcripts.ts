import type { SQLInputValue } from "node:sqlite";
import { toText } from "../model/stored-text.ts";
import {
  PARTS_PAGE,
  type TranscriptHead,
  type TranscriptKey,
  type TranscriptPart,
  type TranscriptStore,
} from "../model/transcript-entry.ts";
import { checksumOf } from "./sqlite-checksum.ts";
import type { Row, Step } from "./sqlite-messages.ts";
import { linesOf, transcriptHeadOf } from "./sqlite-rows.ts";

/* A position is the id of a transcript, shifted by 32 bits, plus the number of a part, which is never 0. */

const IN_TRANSCRIPT = "position > id << 32 AND position < (id + 1) << 32";

const HEADS = `SELECT *, (SELECT last_uuid FROM transcript_parts
    WHERE ${IN_TRANSCRIPT} AND last_uuid IS NOT NULL ORDER BY position DESC LIMIT 1) AS last_uuid
  FROM transcripts`;

const SQL = {
  begin: `INSERT INTO transcripts (conversation_id, subpath, session, checksum) VALUES (?, ?, ?, ?)
    ON CONFLICT (conversation_id, subpath) DO UPDATE SET session = excluded.session, checksum = excluded.checksum
    WHERE session IS NOT excluded.session`,
  append: `WITH next AS (
      SELECT id, coalesce((SELECT max(position) FROM transcript_parts WHERE ${IN_TRANSCRIPT}), id << 32) + 1 AS position
      FROM transcripts WHERE conversation_id = ? AND subpath = ?)
    INSERT INTO transcript_parts (position, last_uuid, checksum, lines)
    SELECT position, ?, row_checksum(id, position & 4294967295, ?, ?), ? FROM next`,
  /* The join keeps SQLite from reading all parts. */
  forgetParts: `DELETE FROM transcript_parts WHERE position IN (
    SELECT position FROM transcripts CROSS JOIN transcript_parts ON ${IN_TRANSCRIPT} WHERE session = ?)`,
  forget: "DELETE FROM transcripts WHERE session = ?",
  eraseParts: `DELETE FROM transcript_parts WHERE position IN (
    SELECT position FROM transcripts CROSS JOIN transcript_parts ON ${IN_TRANSCRIPT}
    WHERE session = ? AND conversation_id = ?)`,
  erase: "DELETE FROM transcripts WHERE session = ? AND conversation_id = ?",
  ofConversation: `${HEADS} WHERE conversation_id = ? ORDER BY subpath`,
  ofSession: `${HEADS} WHERE session = ? ORDER BY conversation_id, subpath`,
  page: `SELECT id AS transcript, position & 4294967295 AS number, last_uuid, transcript_parts.checksum, lines
    FROM transcripts CROSS JOIN transcript_parts ON ${IN_TRANSCRIPT}
    WHERE conversation_id = ? AND subpath = ? AND position > id << 32 | ? ORDER BY position LIMIT ${PARTS_PAGE}`,
} as const;

/** Returns the statements that append to a transcript. */
export function appendingPart({ session, conversationId, subpath, lines, lastUuid }: TranscriptPart): Step[] {
  const key = [toText(conversationId), toText(subpath ?? "")];
  const values = [...key, toText(session)];
  const [uuid, text] = [lastUuid === undefined ? null : toText(lastUuid), toText(lines)];
  return [
    { sql: SQL.begin, parameters: [...values, checksumOf(...values)] },
    { sql: SQL.append, parameters: [...key, uuid, uuid, checksumOf(text), text] },
  ];
}

/** Returns the statements that delete the transcripts of a session. */
export function deletingTranscripts(session: string): Step[] {
  return [SQL.forgetParts, SQL.forget].map((sql) => ({ sql, parameters: [toText(session)] }));
}

/** Returns the statements that delete the transcripts of a conversation of the session. */
export function deletingConversation(session: string, conversationId: string): Step[] {
  const parameters = [toText(session), toText(conversationId)];
  return [SQL.eraseParts, SQL.erase].map((sql) => ({ sql, parameters }));
}

/** Reads rows, and makes entries of them. */
type Read = <Entry>(entryOf: (row: Row) => Entry, sql: string, ...parameters: SQLInputValue[]) => Promise<Entry[]>;

/** Returns the transcripts in a SQLite file. */
export function sqliteTranscripts(read: Read): TranscriptStore {
  return {
    of: (conversationId): Promise<TranscriptHead[]> =>
      read(transcriptHeadOf, SQL.ofConversation, toText(conversationId)),
    writtenBy: (session): Promise<TranscriptHead[]> => read(transcriptHeadOf, SQL.ofSession, toText(session)),
    lines: (key) => linesIn(read, key),
  };
}

async function* linesIn(
  read: Read,
  { conversationId, subpath = "" }: TranscriptKey,
): AsyncGenerator<string, void, undefined> {
  const partOf = (row: Row): { readonly number: number; readonly lines: string } => ({
    number: Number(row["number"]),
    lines: linesOf(conversationId, row),
  });
  for (let after = 0; ; ) {
    const parts = await read(partOf, SQL.page, toText(conversationId), toText(subpath), after);
    for (const { lines } of parts) yield lines;
    const last = parts.at(-1);
    if (last === undefined || parts.length < PARTS_PAGE) return;
    after = last.number;
  }
}
