import {
  type ContentEntry,
  type EventEntry,
  type EventExtent,
  type EventQuery,
  PAGE_BYTES,
  rangeOf,
} from "../model/event-entry.ts";
import {
  EVENTS_CHUNK,
  LOGS_CHUNK,
  type PrunableEvent,
  type PrunableEvents,
  type PrunableLog,
} from "../model/event-pruning.ts";
import type { JsonObject } from "../model/session-entry.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { PostgresDatabase, Statement } from "./postgres-database.ts";

/* The questions about events and contents, and their rows. */

export interface EventRow {
  readonly number: number;
  readonly at: number;
  readonly type: string;
  readonly turn: string | null;
  readonly contents: string | null;
  readonly body: JsonObject;
}

/** Returns the statement that selects a page of events. */
export function eventsStatement(query: EventQuery): Statement {
  const { after, before, descending, limit } = rangeOf(query);
  const order = descending ? "desc" : "asc";
  const types = query.types === undefined ? null : [...new Set(query.types.map(toText))];
  const turn = query.turn === undefined ? null : toText(query.turn);
  const columns = "number, at, type, turn, contents, body, size";
  const inRange = "log = (select id from log) and number > $2 and number < $3";
  const last = `order by number ${order} limit $4`;
  // Without a turn, one range of the index per type, each no longer than the page.
  const found =
    types === null || turn !== null
      ? `select ${columns} from events where ${inRange} and ($5::text is null or turn = $5)
          and ($6::text[] is null or type = any($6)) ${last}`
      : `select ${columns} from unnest($6::text[]) as wanted (wanted_type) cross join lateral (
          select ${columns} from events where ${inRange} and type = wanted_type and $5::text is null ${last}
        ) as of_type ${last}`;
  const text = `
    with log as (select id from event_logs where session = $1), found as (${found}),
    sums as (select *, sum(size) over (order by number ${order}) as total from found)
    select number, at, type, turn, contents, body from sums where total <= ${PAGE_BYTES} or total = size
    order by number ${order}`;
  return { text, values: [toText(query.session), after, before, limit, turn, types] };
}

export function eventOf(session: string, row: EventRow): EventEntry {
  return {
    session,
    number: row.number,
    at: row.at,
    type: fromText(row.type),
    ...(row.turn !== null && { turn: fromText(row.turn) }),
    body: row.body,
    ...(row.contents !== null && { contents: (JSON.parse(row.contents) as string[]).map(fromText) }),
  };
}

export const EXTENT = `
  select pruned_number, pruned_offset, first.number as first, last.number as last, last.end_offset
  from event_logs
    left join lateral (select number from events where log = id order by number limit 1) as first on true
    left join lateral (select number, end_offset from events where log = id order by number desc limit 1) as last on true
  where session = $1`;

export interface ExtentRow {
  readonly pruned_number: number;
  readonly pruned_offset: number;
  readonly first: number | null;
  readonly last: number | null;
  readonly end_offset: number | null;
}

export function eventExtentOf(row: ExtentRow): EventExtent {
  const last = row.last ?? row.pruned_number;
  return { first: row.first ?? last + 1, last, bytes: (row.end_offset ?? row.pruned_offset) - row.pruned_offset };
}

export const CONTENT = "select hash, media_type, data from contents where hash = $1";

export interface ContentRow {
  readonly hash: string;
  readonly media_type: string | null;
  readonly data: Uint8Array;
}

export function contentOf(row: ContentRow): ContentEntry {
  return {
    hash: fromText(row.hash),
    ...(row.media_type !== null && { mediaType: fromText(row.media_type) }),
    // `pg` returns a part of a larger buffer.
    data: new Uint8Array(row.data),
  };
}

/** Returns the events of a database for pruning. Several applications may prune them at once. */
export function prunableEvents(database: PostgresDatabase): PrunableEvents {
  return {
    logs: async (afterId) => (await database.read<LogRow>(LOGS, [afterId])).map(prunableLogOf),
    oldest: async ({ id }) => await database.read<PrunableEvent & { [column: string]: unknown }>(OLDEST, [id]),
    deleteUpTo: ({ id }, { number, endOffset }) =>
      database.transaction(async (query) => {
        const [mine] = await query(LOCK_LOG, [id, number]);
        if (mine === undefined) return false;
        await Promise.all([
          query(LOCK_CONTENTS, [id, number]),
          query(DELETE, [id, number]),
          query(MARK, [id, number, endOffset]),
        ]);
        return true;
      }),
  };
}

interface LogRow {
  readonly id: string;
  readonly pruned_offset: number;
  readonly first: number | null;
  readonly at: number | null;
  readonly last: number | null;
  readonly end_offset: number | null;
}

function prunableLogOf({ id, pruned_offset, first, at, last, end_offset }: LogRow): PrunableLog {
  return {
    id,
    first: first === null ? undefined : { number: first, at: at ?? 0 },
    startOffset: pruned_offset,
    number: last ?? 0,
    endOffset: end_offset ?? pruned_offset,
  };
}

const LOGS = `
  select id::text, pruned_offset, first.number as first, first.at, last.number as last, last.end_offset
  from (select * from event_logs where id > $1 order by id limit ${LOGS_CHUNK}) as event_logs
    left join lateral (select number, at from events where log = id order by number limit 1) as first on true
    left join lateral (select number, end_offset from events where log = id order by number desc limit 1) as last on true
  order by event_logs.id`;

const OLDEST = `select number, at, end_offset as "endOffset" from events where log = $1 order by number limit ${EVENTS_CHUNK}`;

const LOCK_LOG = "select id from event_logs where id = $1 and pruned_number < $2 for update skip locked";

/* A separate statement, so that the next one sees what others have committed before the lock. */
const LOCK_CONTENTS = `select from contents
  where hash = any(array(select hash from event_contents where log = $1 and number <= $2)) order by hash for update`;

const DELETE = `
  with gone as (select hash from event_contents where log = $1 and number <= $2),
    no_contents as (
      delete from contents where hash = any(array(select hash from gone)) and not exists (
        select from event_contents as other where other.hash = contents.hash and not (other.log = $1 and other.number <= $2)
      )
    ),
    no_references as (delete from event_contents where log = $1 and number <= $2)
  delete from events where log = $1 and number <= $2`;

const MARK = "update event_logs set pruned_number = $2, pruned_offset = $3 where id = $1";
