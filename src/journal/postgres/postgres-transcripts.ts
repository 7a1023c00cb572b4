import { createHash } from "node:crypto";
import {
  foldSessionSummary,
  type SessionKey,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { fromText, toText } from "../model/stored-text.ts";
import type { ReadyDatabase } from "./lazy-database.ts";
import type { PostgresDatabase, Query } from "./postgres-database.ts";
import type { PostgresTables } from "./postgres-schema.ts";

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
 *
 * @param known what the transcript was after the last write, as far as that is known
 * @returns what it is after that
 * @throws MissingEntries if it is shorter than is known; then nothing is added
 */
export async function append(
  { database, history }: ReadyDatabase,
  key: SessionKey,
  appended: Appended,
  { fenced, known }: { readonly fenced?: FencedWrite | undefined; readonly known?: TranscriptState | undefined } = {},
): Promise<TranscriptState> {
  const { projectKey, sessionId, subpath } = key;
  const hashes = [transcriptHash(key), sessionHash(key), hashOf(projectKey)];
  const names = [toText(projectKey), toText(sessionId), subpath === undefined ? null : toText(subpath)];
  return await database.transaction(async (query) => {
    const values = [...hashes, ...names, appended.entries.length, appended.json, fenced?.epoch ?? null];
    const [[transcript]] = await Promise.all([query<AppendRow>(appendText(history), values), fenced?.fence(query)]);
    if (transcript === undefined) throw new Error("an append has made no transcript");
    const { id, start, mtime, summary, added } = transcript;
    const before = { id, length: start, history: transcript.history };
    if (known !== undefined && isBehind(before, known)) throw new MissingEntries(before);
    const state = { ...before, length: start + appended.entries.length };
    if (subpath !== undefined) return state;
    const fresh = added.flatMap((place) => appended.entries[place - 1] ?? []);
    const folded = summary === null ? undefined : { sessionId, mtime, data: summary };
    if (folded !== undefined && fresh.length === 0) return state;
    const { data } = foldSessionSummary(folded, key, fresh, { mtime });
    await query("update transcripts set summary = $2 where id = $1", [id, JSON.stringify(data)]);
    return state;
  });
}

/** What a database says of a transcript. */
export interface TranscriptState {
  /** Of its row; another one if it was deleted and has begun anew. `undefined` if there is none. */
  readonly id: string | undefined;
  /** How many entries have been appended to it, those that were sent twice among them, which are kept once. */
  readonly length: number;
  /** Tells the history of the database from others; `null` if it cannot say. */
  readonly history: string | null;
}

/** Whether a transcript has less than is known of it. */
export function isBehind(now: TranscriptState, known: TranscriptState): boolean {
  return now.length < known.length || (now.id !== known.id && known.length > 0);
}

/** That a transcript has fewer entries than it had. */
export class MissingEntries extends Error {
  override readonly name = "MissingEntries";
  readonly found: TranscriptState;

  constructor(found: TranscriptState) {
    super(`the transcript has ${found.length} entries, and had more`);
    this.found = found;
  }
}

/** No entries if there is no such transcript. */
export async function load(
  { database, history }: ReadyDatabase,
  key: SessionKey,
): Promise<{ readonly entries: SessionStoreEntry[]; readonly state: TranscriptState }> {
  const values = [transcriptHash(key)];
  const [rows, [state]] = await database.readBoth<{ entry: SessionStoreEntry }, StateRow>(
    {
      text: "select entry from transcripts join transcript_entries on transcript = id where hash = $1 order by position",
      values,
    },
    { text: stateText(history), values: [values] },
  );
  return { entries: rows.map(({ entry }) => entry), state: stateOf(state) };
}

/** What each of these transcripts is, in their order. */
export async function statesOf(
  { database, history }: ReadyDatabase,
  keys: readonly SessionKey[],
): Promise<TranscriptState[]> {
  const hashes = keys.map(transcriptHash);
  const rows = await database.read<StateRow>(stateText(history), [hashes]);
  const found = new Map(rows.map((row) => [row.hash?.toString("hex"), row]));
  const none = rows.find(({ hash }) => hash === null);
  return hashes.map((hash) => stateOf(found.get(hash.toString("hex")) ?? none));
}

/** A row for each that is there, and one without a transcript. */
function stateText(history: string): string {
  return `
    with here as (select ${history} as history)
    select hash, id::text, length::double precision, history from transcripts, here where hash = any($1)
    union all select null, null, 0, history from here`;
}

interface StateRow {
  readonly hash: Buffer | null;
  readonly id: string | null;
  readonly length: number;
  readonly history: string | null;
}

function stateOf(row: StateRow | undefined): TranscriptState {
  return { id: row?.id ?? undefined, length: row?.length ?? 0, history: row?.history ?? null };
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
  const { subpath } = key;
  const [column, hash] = subpath === undefined ? ["session_hash", sessionHash(key)] : ["hash", transcriptHash(key)];
  // Locked in one order, so that two who delete the same do not wait for each other.
  const text = `delete from transcripts where id in (select id from transcripts where ${column} = $1 order by id for update)`;
  await database.transaction((query) => Promise.all([query(text, [hash]), fence?.(query)]));
}

/** The same for a transcript, and for no other one. */
export function transcriptHash({ projectKey, sessionId, subpath }: SessionKey): Buffer {
  return hashOf(projectKey, sessionId, subpath ?? null);
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
  /** How many entries there were before. */
  readonly start: number;
  readonly mtime: number;
  readonly history: string | null;
  readonly summary: Record<string, unknown> | null;
  /** Which of the entries were added, counted from 1. */
  readonly added: readonly number[];
}

function appendText(history: string): string {
  return `
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
  select id, start::double precision, mtime::double precision, summary, ${history} as history,
    array(select (position - start)::integer from added) as added
  from transcript`;
}

/*
 * A transcript is a row, whose lock puts the appends of all processes in line, and its entries. Keys may be longer than what
 * an index takes, so that they are found by their hashes.
 */
const FIRST = `
  create table transcripts (
    id bigint generated always as identity primary key,
    hash bytea not null unique,
    session_hash bytea not null,
    project_hash bytea not null,
    project_key text not null,
    session_id text not null,
    subpath text,
    length bigint not null,
    mtime bigint not null,
    summary json
  );
  create index transcripts_by_session on transcripts (session_hash);
  create index transcripts_by_project on transcripts (project_hash) where subpath is null;
  create table transcript_entries (
    transcript bigint not null references transcripts on delete cascade,
    position bigint not null,
    uuid_hash bytea,
    entry json not null,
    primary key (transcript, position)
  );
  create unique index transcript_entries_by_uuid on transcript_entries (transcript, uuid_hash)
    where uuid_hash is not null;
`;

/* Of a session that moves between machines: under which epoch of it the entry was written, see cluster/engine.ts. */
const EPOCHS = "alter table transcript_entries add column epoch bigint";

export const TRANSCRIPT_TABLES: PostgresTables = {
  name: "transcripts",
  steps: [{ sql: FIRST }, { sql: EPOCHS, additive: true }],
};
