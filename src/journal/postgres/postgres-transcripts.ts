import { createHash } from "node:crypto";
import type { SessionKey, SessionStoreEntry, SessionSummaryEntry } from "@anthropic-ai/claude-agent-sdk";
import { agentSdk } from "../../agent-sdk.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { ReadyDatabase } from "./lazy-database.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresTables } from "./postgres-schema.ts";

/** Entries as they were passed, and in the form that is written. */
export interface Appended {
  readonly entries: readonly SessionStoreEntry[];
  /** JSON: for each entry the hash of its `uuid`, or null, and the entry's JSON. */
  readonly json: string;
}

/** Copies `entries` for writing. */
export function toAppend(entries: readonly SessionStoreEntry[]): Appended {
  const json = JSON.stringify(entries.map((entry) => [uuidHash(entry.uuid), JSON.stringify(entry)]));
  return { entries: [...entries], json };
}

/**
 * Appends entries to a transcript, and creates it if needed. Skips an entry whose `uuid` is already in the transcript:
 * it is a repeated append, and the summary already counts it.
 *
 * @param known the transcript's state after the last write, if known
 * @returns the state afterwards
 * @throws MissingEntries if the transcript is shorter than `known`; then nothing is appended
 */
export async function append(
  { database, history }: ReadyDatabase,
  key: SessionKey,
  appended: Appended,
  known: TranscriptState | undefined,
): Promise<TranscriptState> {
  const { projectKey, sessionId, subpath } = key;
  const hashes = [transcriptHash(key), sessionHash(key), hashOf(projectKey)];
  const names = [toText(projectKey), toText(sessionId), subpath === undefined ? null : toText(subpath)];
  const { foldSessionSummary } = await agentSdk();
  return await database.transaction(async (query) => {
    const values = [...hashes, ...names, appended.entries.length, appended.json];
    const [transcript] = await query<AppendRow>(appendText(history), values);
    if (transcript === undefined) throw new Error("the append returned no transcript");
    const { id, start, mtime, summary, added } = transcript;
    const before = { id, length: start, history: transcript.history };
    if (known !== undefined && isBehind(before, known)) throw new MissingEntries(before);
    const state = { ...before, length: start + appended.entries.length };
    if (subpath !== undefined) return state;
    const fresh = added.flatMap((ordinal) => appended.entries[ordinal - 1] ?? []);
    const folded = summary === null ? undefined : { sessionId, mtime, data: summary };
    if (folded !== undefined && fresh.length === 0) return state;
    const { data } = foldSessionSummary(folded, key, fresh, { mtime });
    await query("update transcripts set summary = $2 where id = $1", [id, JSON.stringify(data)]);
    return state;
  });
}

/** The state of a transcript in a database. */
export interface TranscriptState {
  /** Id of the row; another one after the transcript was deleted and started again. Undefined if there is none. */
  readonly id: string | undefined;
  /** Number of appended entries, with repeated ones. */
  readonly length: number;
  /** The history of the database; null if unknown. */
  readonly history: string | null;
}

/** Whether a transcript has fewer entries than known. */
export function isBehind(now: TranscriptState, known: TranscriptState): boolean {
  return now.length < known.length || (now.id !== known.id && known.length > 0);
}

/** A transcript has fewer entries than it had. */
export class MissingEntries extends Error {
  override readonly name = "MissingEntries";
  readonly found: TranscriptState;

  constructor(found: TranscriptState) {
    super(`the transcript has ${found.length} entries, and had more`);
    this.found = found;
  }
}

/** Returns no entries if the transcript does not exist. */
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

/** Selects a row per existing transcript, and one without a transcript. */
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

/** Returns the sessions of a project that have a main transcript. */
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

/** Deletes a transcript; without a subpath, also those of subagents. */
export async function remove(database: PostgresDatabase, key: SessionKey): Promise<void> {
  const { subpath } = key;
  const [column, hash] = subpath === undefined ? ["session_hash", sessionHash(key)] : ["hash", transcriptHash(key)];
  // Locks in one order, so that two concurrent deletions do not deadlock.
  const text = `delete from transcripts where id in (select id from transcripts where ${column} = $1 order by id for update)`;
  await database.transaction((query) => query(text, [hash]));
}

/** Returns a hash that is unique to the transcript. */
export function transcriptHash({ projectKey, sessionId, subpath }: SessionKey): Buffer {
  return hashOf(projectKey, sessionId, subpath ?? null);
}

/** Returns a hash that is unique to the session, for all its transcripts. */
export function sessionHash({ projectKey, sessionId }: Pick<SessionKey, "projectKey" | "sessionId">): Buffer {
  return hashOf(projectKey, sessionId);
}

/** An empty `uuid` identifies nothing. */
function uuidHash(uuid: unknown): string | null {
  return typeof uuid === "string" && uuid !== "" ? hashOf(uuid).toString("hex") : null;
}

function hashOf(...parts: readonly (string | null)[]): Buffer {
  return createHash("sha256").update(JSON.stringify(parts)).digest();
}

interface AppendRow {
  readonly id: string;
  /** Number of entries before. */
  readonly start: number;
  readonly mtime: number;
  readonly history: string | null;
  readonly summary: Record<string, unknown> | null;
  /** Numbers of the added entries, from 1. */
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
    insert into transcript_entries (transcript, position, uuid_hash, entry)
    select id, start + ordinal, decode(item->>0, 'hex'), (item->>1)::json
    from transcript, json_array_elements($8::json) with ordinality as item (item, ordinal) order by ordinal
    on conflict do nothing
    returning position
  )
  select id, start::double precision, mtime::double precision, summary, ${history} as history,
    array(select (position - start)::integer from added) as added
  from transcript`;
}

/*
 * A transcript is a row, whose lock orders the appends of all processes, and its entries. Keys may exceed the limit of
 * an index entry, so they are found by their hashes.
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

/* Earlier releases wrote it. */
const EPOCHS = "alter table transcript_entries add column epoch bigint";

export const TRANSCRIPT_TABLES: PostgresTables = {
  name: "transcripts",
  steps: [{ sql: FIRST }, { sql: EPOCHS, additive: true }],
};
