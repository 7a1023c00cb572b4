import { type ContentEntry, type EventExtent, PAGE_BYTES } from "../model/event-entry.ts";
import type { PageSegment, SegmentQuery } from "../model/event-page.ts";
import { LOGS_CHUNK, type PrunableEvents, type PrunableLog } from "../model/event-pruning.ts";
import { markOf, sizedEventsOfSegment } from "../model/event-segment.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { PostgresDatabase, Statement } from "./postgres-database.ts";

/* The questions about events and contents, and their rows. */

interface SegmentRow {
  readonly first: number;
  readonly last: number;
  readonly turn: string | null;
  readonly body: unknown;
}

export interface PageRow extends SegmentRow {
  readonly log: string;
  readonly size: number;
}

/** Returns the statement that selects the segments of a page. */
export function segmentsStatement(query: SegmentQuery): Statement {
  const { session, log, types, turn, after, before, descending, limit } = query;
  const order = descending ? "desc" : "asc";
  const earlier = `over (order by first ${order} rows between unbounded preceding and 1 preceding)`;
  const text = `
    with wanted as (select id from event_logs where session = $1 and ($2::bigint is null or id = $2)),
    found as (
      select log, first, last, turn, body, octet_length(body::text)::double precision as size from events
      where log = (select id from wanted)
        -- The first one may begin before the wanted numbers.
        and first >= coalesce((select max(first) from events where log = (select id from wanted) and first <= $3::double precision + 1), 0)
        and last > $3 and first < $4 and ($6::text is null or turn = $6)
        and ($7::text[] is null or exists (select from unnest($7) as type where strpos(types, type) > 0))
      order by first ${order} limit $5
    ),
    sums as (select *, sum(last - first + 1) ${earlier} as counted, sum(size) ${earlier} as sized from found)
    select log::text, first, last, turn, body, size from sums
    where counted is null or (counted < $5 and sized <= ${PAGE_BYTES}) order by first ${order}`;
  const wantedTypes = types === undefined ? null : types.map(markOf);
  const values = [
    toText(session),
    log ?? null,
    after,
    before,
    limit,
    turn === undefined ? null : toText(turn),
    wantedTypes,
  ];
  return { text, values };
}

export function pageSegmentOf({ log, size, body, ...row }: PageRow): PageSegment {
  return { log, size, ...segmentOf(row), read: () => body };
}

function segmentOf({ first, last, turn }: Omit<SegmentRow, "body">): Pick<PageSegment, "first" | "last" | "turn"> {
  return { first, last, turn: turn === null ? undefined : fromText(turn) };
}

export const EXTENT = `
  select pruned_number, pruned_offset, head.first, final.last, final.end_offset
  from event_logs
    left join lateral (select first from events where log = id order by first limit 1) as head on true
    left join lateral (select last, end_offset from events where log = id order by first desc limit 1) as final on true
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

/** A content to which an event or a turn of a session refers. */
export const CONTENT_OF_SESSION: string = `${CONTENT} and (
    exists (
      select from event_contents as other
      where other.hash = $1 and other.log = (select id from event_logs where session = $2)
    ) or exists (select from turn_contents as other where other.hash = $1 and other.session = $2)
    or exists (
      select from turn_contents as other join turns on turns.id = other.turn
      where other.hash = $1 and other.session is null and turns.session = $2
    ))`;

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

/** Number of segments per transaction of pruning, so that other writes wait only briefly. */
const SEGMENTS = 100;

/** Returns the events of a database for pruning. Several applications may prune them at once. */
export function prunableEvents(database: PostgresDatabase): PrunableEvents {
  return {
    logs: async (afterId) => (await database.read<LogRow>(LOGS, [afterId])).map(prunableLogOf),
    chunk: SEGMENTS,
    oldest: async ({ id }, limit) => await database.read<PrunableRow>(OLDEST, [id, limit]),
    events: async ({ id, session }, { first }) => {
      const [row] = await database.read<SegmentRow & { [column: string]: unknown }>(SEGMENT, [id, first]);
      return row && sizedEventsOfSegment(session, segmentOf(row), row.body);
    },
    cut: ({ id }, { upTo: { number, offset }, after, rest }) =>
      database.transaction(async (query) => {
        const [mine] = await query(LOCK_LOG, [id, after.number]);
        if (mine === undefined) return false;
        const { first, last, earliest, latest, turn, types, body } = rest?.segment ?? {};
        const kept = [first, last, earliest, latest, turn === undefined ? null : toText(turn), types, body];
        await Promise.all([
          query(LOCK_CONTENTS, [id, number]),
          query(DELETE, [id, number]),
          rest === undefined ? undefined : query(CUT, [id, rest.of.first, ...kept]),
          query(MARK, [id, number, offset]),
        ]);
        return true;
      }),
  };
}

type PrunableRow = NonNullable<PrunableLog["first"]> & { [column: string]: unknown };

interface LogRow {
  readonly id: string;
  readonly session: string;
  readonly pruned_number: number;
  readonly pruned_offset: number;
  readonly first: number | null;
  readonly last: number;
  readonly earliest: number;
  readonly latest: number;
  readonly endOffset: number;
  readonly end_number: number;
  readonly end_offset: number;
}

function prunableLogOf(row: LogRow): PrunableLog {
  const { id, session, first, last, earliest, latest, endOffset } = row;
  const isEmpty = first === null;
  return {
    id,
    session: fromText(session),
    pruned: { number: row.pruned_number, offset: row.pruned_offset },
    first: isEmpty ? undefined : { first, last, earliest, latest, endOffset },
    end: isEmpty ? undefined : { number: row.end_number, offset: row.end_offset },
  };
}

const PRUNABLE = `first, last, earliest, latest, end_offset as "endOffset"`;

const LOGS = `
  select id::text, session, pruned_number, pruned_offset, head.*, final.*
  from (select * from event_logs where id > $1 order by id limit ${LOGS_CHUNK}) as event_logs
    left join lateral (select ${PRUNABLE} from events where log = id order by first limit 1) as head on true
    left join lateral (
      select last as end_number, end_offset from events where log = id order by first desc limit 1
    ) as final on true
  order by event_logs.id`;

const OLDEST = `select ${PRUNABLE} from events where log = $1 order by first limit $2`;

const SEGMENT = "select first, last, turn, body from events where log = $1 and first = $2";

const LOCK_LOG = "select id from event_logs where id = $1 and pruned_number = $2 for update skip locked";

/* A separate statement, so that the next one sees what others have committed before the lock. */
const LOCK_CONTENTS = `select from contents
  where hash = any(array(select hash from event_contents where log = $1 and number <= $2)) order by hash for update`;

const DELETE = `
  with gone as (select hash from event_contents where log = $1 and number <= $2),
    no_contents as (
      delete from contents where hash = any(array(select hash from gone)) and not exists (
        select from event_contents as other where other.hash = contents.hash and not (other.log = $1 and other.number <= $2)
      ) and not exists (select from turn_contents where turn_contents.hash = contents.hash)
    ),
    no_references as (delete from event_contents where log = $1 and number <= $2)
  delete from events where log = $1 and first <= $2 and last <= $2`;

const CUT = `
  update events set first = $3, last = $4, earliest = $5, latest = $6, turn = $7, types = $8, body = $9
  where log = $1 and first = $2`;

const MARK = "update event_logs set pruned_number = $2, pruned_offset = $3 where id = $1";
