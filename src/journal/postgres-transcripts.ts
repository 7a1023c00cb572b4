import { createHash } from "node:crypto";
import {
  foldSessionSummary,
  type SessionKey,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from "@anthropic-ai/claude-agent-sdk";
import type { PostgresDatabase, Query } from "./postgres-database.ts";
import { fromText, toText } from "./stored-text.ts";

/** Entries as they were when they were handed over, and as they are written. */
export interface Appended {
  readonly entries: readonly SessionStoreEntry[];
  /** JSON: of each entry the hash of its `uuid`, or null, and its own JSON. */
  readonly json: string;
}

/**
 * Makes sure that whoever writes may write until the transaction ends: rejects if not. It is sent behind what is written, so
 * that its locks are not held while that is on its way.
 */
export type TranscriptFence = (query: Query) => Promise<unknown>;

/** How transcripts are written that not everybody may write. */
export interface FencedWrite {
  readonly fence: TranscriptFence;
  /** What is kept with each entry. */
  readonly epoch: number;
}

/** `entries`, ready to be written; later changes of them are of no account. */
export function toAppend(entries: readonly SessionStoreEntry[]): Appended {
  const json = JSON.stringify(entries.map((entry) => [uuidHash(entry.uuid), JSON.stringify(entry)]));
  return { entries: [...entries], json };
}

/**
 * Adds entries to a transcript, which begins with the first ones. An entry whose `uuid` is in it already is left out: it is
 * the one that was stored before, sent again, and what it says has been counted in the summary.
 */
export async function append(
  database: PostgresDatabase,
  key: SessionKey,
  appended: Appended,
  fenced?: FencedWrite,
): Promise<void> {
  const { projectKey, sessionId, subpath } = key;
  const hashes = [hashOf(projectKey, sessionId, subpath ?? null), sessionHash(key), hashOf(projectKey)];
  const names = [toText(projectKey), toText(sessionId), subpath === undefined ? null : toText(subpath)];
  await database.transaction(async (query) => {
    const values = [...hashes, ...names, appended.entries.length, appended.json, fenced?.epoch ?? null];
    const [[transcript]] = await Promise.all([query<AppendRow>(APPEND, values), fenced?.fence(query)]);
    if (transcript === undefined || subpath !== undefined) return;
    const { id, mtime, summary, added } = transcript;
    const fresh = added.flatMap((place) => appended.entries[place - 1] ?? []);
    const before = summary === null ? undefined : { sessionId, mtime, data: summary };
    if (before !== undefined && fresh.length === 0) return;
    const { data } = foldSessionSummary(before, key, fresh, { mtime });
    await query("update transcripts set summary = $2 where id = $1", [id, JSON.stringify(data)]);
  });
}

/** `null` if there is no such transcript. */
export async function load(database: PostgresDatabase, key: SessionKey): Promise<SessionStoreEntry[] | null> {
  const rows = await database.read<{ entry: SessionStoreEntry }>(
    `select entry from transcripts join transcript_entries on transcript = id where hash = $1 order by position`,
    [hashOf(key.projectKey, key.sessionId, key.subpath ?? null)],
  );
  return rows.length === 0 ? null : rows.map(({ entry }) => entry);
}

/** The sessions of a project that have a transcript of their own, and not only of subagents. */
export async function summaries(database: PostgresDatabase, projectKey: string): Promise<SessionSummaryEntry[]> {
  const rows = await database.read<{ session_id: string; mtime: number; data: Record<string, unknown> }>(
    `select session_id, mtime::double precision, summary as data from transcripts
     where project_hash = $1 and subpath is null`,
    [hashOf(projectKey)],
  );
  return rows.map(({ session_id, mtime, data }) => ({ sessionId: fromText(session_id), mtime, data }));
}

export async function subpaths(
  database: PostgresDatabase,
  session: Pick<SessionKey, "projectKey" | "sessionId">,
): Promise<string[]> {
  const rows = await database.read<{ subpath: string }>(
    `select subpath from transcripts where session_hash = $1 and subpath is not null order by id`,
    [sessionHash(session)],
  );
  return rows.map(({ subpath }) => fromText(subpath));
}

/** Without a subpath, the transcripts of the subagents too. */
export async function remove(database: PostgresDatabase, key: SessionKey, fence?: TranscriptFence): Promise<void> {
  const { projectKey, sessionId, subpath } = key;
  const [column, hash] =
    subpath === undefined ? ["session_hash", sessionHash(key)] : ["hash", hashOf(projectKey, sessionId, subpath)];
  // Locked in one order, so that two who delete the same do not wait for each other.
  const text = `delete from transcripts where id in (select id from transcripts where ${column} = $1 order by id for update)`;
  await database.transaction((query) => Promise.all([query(text, [hash]), fence?.(query)]));
}

/** The same for all transcripts of a session, and for no other one. */
export function sessionHash({ projectKey, sessionId }: Pick<SessionKey, "projectKey" | "sessionId">): Buffer {
  return hashOf(projectKey, sessionId);
}

/** An empty `uuid` tells nothing apart. */
function uuidHash(uuid: unknown): string | null {
  return typeof uuid === "string" && uuid !== "" ? hashOf(uuid).toString("hex") : null;
}

function hashOf(...parts: readonly (string | null)[]): Buffer {
  return createHash("sha256").update(JSON.stringify(parts)).digest();
}

interface AppendRow {
  readonly id: string;
  readonly mtime: number;
  readonly summary: Record<string, unknown> | null;
  /** Which of the entries were added, counted from 1. */
  readonly added: readonly number[];
}

const APPEND = `
  with transcript as (
    insert into transcripts as known
      (hash, session_hash, project_hash, project_key, session_id, subpath, length, mtime)
    values ($1, $2, $3, $4, $5, $6, $7, floor(extract(epoch from clock_timestamp()) * 1000))
    on conflict (hash) do update set length = known.length + excluded.length,
      mtime = greatest(known.mtime, excluded.mtime)
    returning id, length - $7 as start, mtime, summary
  ), added as (
    insert into transcript_entries (transcript, position, uuid_hash, entry, epoch)
    select id, start + place, decode(item->>0, 'hex'), (item->>1)::json, $9::bigint
    from transcript, json_array_elements($8::json) with ordinality as item (item, place) order by place
    on conflict do nothing
    returning position
  )
  select id, mtime::double precision, summary, array(select (position - start)::integer from added) as added
  from transcript`;
