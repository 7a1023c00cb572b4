import type { PostgresTables } from "./postgres-schema.ts";

/*
 * Numbers are JavaScript's, and times are milliseconds since the epoch. Text may contain escapes, see stored-text.ts.
 * JSON is `json`: `jsonb` rejects U+0000 and lone surrogates.
 */
const FIRST = `
  create table sessions (
    key text collate "C" primary key,
    supervisor text not null,
    conversation_id text not null,
    memory json not null,
    saved_at double precision not null
  );
  create table turns (
    id text primary key,
    seq bigint generated always as identity,
    session text not null,
    prompt text not null,
    position double precision not null,
    durable boolean not null,
    timeout_ms double precision,
    queue_timeout_ms double precision,
    accepted_at double precision not null,
    state text not null default 'queued',
    attempts integer not null default 0,
    prompt_id text,
    touched boolean not null default false,
    ended_at double precision,
    outcome json
  );
  create index turns_by_session on turns (session, ended_at, seq);
  create index unfinished_turns on turns (session) where ended_at is null;
  create table spent (
    digest bytea primary key,
    supervisor text not null,
    session text not null,
    model text not null,
    day text collate "C" not null,
    cost_usd double precision not null,
    input_tokens double precision not null,
    output_tokens double precision not null,
    cache_read_input_tokens double precision not null,
    cache_creation_input_tokens double precision not null
  );
  create index spent_by_day on spent (day);
  create index spent_by_session on spent (session);
  create table approvals (
    id text primary key,
    seq bigint generated always as identity,
    session text not null,
    tool text not null,
    input json not null,
    requested_at double precision not null,
    outcome text,
    settled_at double precision
  );
  create index approvals_by_session on approvals (session, requested_at, seq);
  create table owner (
    only_one boolean primary key default true check (only_one),
    term bigint not null,
    id text,
    pid integer not null,
    host text not null,
    started_at double precision not null,
    heartbeat timestamptz not null,
    batch bigint not null
  );
`;

/** Turns of earlier releases count as text from here on, which is harmless. */
const PROMPT_KIND = "alter table turns add column prompt_kind text";

/* Conversations that sessions have left. */
const CONVERSATIONS = `
  create table conversations (
    seq bigint generated always as identity primary key,
    session text not null,
    conversation_id text not null,
    memory json not null,
    left_at double precision not null
  );
  create index conversations_by_session on conversations (session, seq);
`;

/*
 * A log per session that has ever had an event, with the number and the end offset of its last deleted event. A row of
 * `events` has consecutive events, as one batch appended them; the end offset is the number of bytes of all events of the
 * log up to these. Searches for types read only the index.
 */
const EVENTS = `
  create table event_logs (
    id bigint generated always as identity primary key,
    session text not null unique,
    pruned_number double precision not null default 0,
    pruned_offset double precision not null default 0
  );
  create table events (
    log bigint not null,
    first double precision not null,
    last double precision not null,
    earliest double precision not null,
    latest double precision not null,
    end_offset double precision not null,
    turn text,
    types text not null,
    body json not null
  );
  create unique index events_by_log on events (log, first) include (types);
  create index events_by_turn on events (turn, log, first) where turn is not null;
  create table contents (
    hash text primary key,
    media_type text,
    data bytea not null
  );
  create table event_contents (
    hash text not null,
    log bigint not null,
    number double precision not null,
    primary key (hash, log, number)
  );
  create index contents_by_event on event_contents (log, number);

  -- Appends segments. Begins the logs that are missing, and leaves out the events that a log has passed. Only the owner of
  -- a session appends to its log. The limit keeps the planner from reading all events of a log. Returns the new references
  -- to contents.
  create function append_segments(segments json) returns table (hash text, log bigint, number double precision)
  language plpgsql as $function$
  #variable_conflict use_column
  begin return query
    with row as (
      select * from json_to_recordset(segments) as row (session text, first double precision, last double precision,
        earliest double precision, latest double precision, sizes json, bytes double precision, turn text, types text,
        contents json, body text)
    ),
    begun as (
      insert into event_logs (session)
      select distinct session from row where not exists (select from event_logs where event_logs.session = row.session)
      on conflict (session) do update set session = excluded.session
      returning id, session, pruned_number, pruned_offset
    ),
    logs as (
      select id, session, pruned_number, pruned_offset from event_logs where session = any(array(select session from row))
      union all select id, session, pruned_number, pruned_offset from begun
    ),
    new as (
      select id, greatest(row.first, passed + 1) as first, row.last, earliest, latest, turn, types, contents, passed,
        coalesce(final.end_offset, pruned_offset) as start_offset,
        case when row.first > passed then bytes else (
          select sum(size::double precision) from json_array_elements_text(sizes) with ordinality as of (size, nth)
          where row.first + nth - 1 > passed
        ) end as bytes,
        case when row.first > passed then body::json else (
          select json_agg(event order by nth) from json_array_elements(body::json) with ordinality as of (event, nth)
          where row.first + nth - 1 > passed
        ) end as body
      from row join logs using (session)
        left join lateral (
          select last, end_offset from events where events.log = id order by first desc limit 1
        ) as final on true
        cross join lateral (select coalesce(final.last, pruned_number) as passed) as before
      where row.last > passed
    ),
    appended as (
      insert into events (log, first, last, earliest, latest, end_offset, turn, types, body)
      select id, first, last, earliest, latest, start_offset + sum(bytes) over (partition by id order by first), turn,
        types, body
      from new
    )
    select reference ->> 1, id, (reference ->> 0)::double precision
    from new cross join json_array_elements(contents) as reference
    where (reference ->> 0)::double precision > passed;
  end $function$;
`;

/* Earlier turns have a caller and no metadata. */
const TURN_DETAILS = `
  alter table turns add column origin text, add column metadata json;
  create index turns_by_number on turns (session, seq);
`;

/* The transcripts of conversations, and, with a subpath, of their subagents. The names `transcripts` and
 * `transcript_entries` belong to the session store, which may be in the same schema.
 */
const TRANSCRIPTS = `
  create table journal_transcripts (
    id bigint generated always as identity primary key,
    conversation_id text not null,
    subpath text not null,
    session text not null,
    unique (conversation_id, subpath)
  );
  create index journal_transcripts_by_session on journal_transcripts (session);
  create table journal_transcript_parts (
    transcript bigint not null references journal_transcripts on delete cascade,
    number bigint not null,
    last_uuid text,
    lines text not null,
    primary key (transcript, number)
  );
`;

/* Prompts that wait for a session or a member of a pool. */
const JOBS = `
  create table jobs (
    id text primary key,
    seq bigint generated always as identity,
    session text collate "C" not null,
    prompt text not null,
    prompt_kind text,
    due_at double precision not null,
    created_at double precision not null,
    terms json not null
  );
  create index jobs_by_session on jobs (session, seq);
  create index due_jobs on jobs (due_at);
`;

/*
 * The earliest time that is known of an earlier session counts as its creation. Labels go with their session also when an
 * earlier release deletes it.
 */
const DESCRIPTIONS = `
  alter table sessions add column created_at double precision, add column title text, add column labels json,
    add column archived_at double precision, add column description_memory json;
  update sessions set created_at = least(saved_at,
    (select min(accepted_at) from turns where turns.session = sessions.key),
    (select min(left_at) from conversations where conversations.session = sessions.key));
  create index present_sessions on sessions (supervisor, key) where archived_at is null;
  create index archived_sessions on sessions (supervisor, key) where archived_at is not null;
  create table session_labels (
    label text not null,
    value text not null,
    key text collate "C" not null references sessions on delete cascade,
    primary key (label, value, key)
  );
  create index labels_by_session on session_labels (key);
`;

/* Which turns refer to which contents. */
const TURN_CONTENTS = `
  create table turn_contents (
    hash text not null,
    turn text not null,
    primary key (hash, turn)
  );
  create index contents_by_turn on turn_contents (turn);
`;

/* Callers of earlier turns did not say who asks. */
const ASKERS = `
  alter table turns add column asked_by text;
`;

/* Lists of a cluster's sessions are of all supervisors. */
const SESSIONS_BY_KEY = `
  create index present_sessions_by_key on sessions (key) where archived_at is null;
  create index archived_sessions_by_key on sessions (key) where archived_at is not null;
`;

/*
 * The jobs of a pool on several nodes. A node reserves a job for a while before it makes a turn of it, so that two nodes
 * rarely try the same one. The priority is that of the terms.
 */
const SHARED_JOBS = `
  alter table jobs add column priority double precision not null default 0, add column reserved_by text collate "C",
    add column reserved_until timestamptz;
  create index jobs_in_order on jobs (session, priority desc, seq);
`;

/* A cluster searches for due prompts of sessions all the time, and not for the jobs of pools, which wait in any number. */
const DUE_SCHEDULES = `
  alter table jobs add column pooled boolean not null default false;
  create index due_schedules on jobs (due_at) where not pooled;
`;

/* For lists in order of creation. */
const CREATION_ORDER = `
  create index sessions_by_creation on sessions (supervisor, coalesce(created_at, 0), key);
  create index present_sessions_by_creation on sessions (supervisor, coalesce(created_at, 0), key)
    where archived_at is null;
`;

/* Tells whether any turn of a session refers to a content. Nodes of an earlier release leave out the session. */
const CONTENTS_BY_SESSION = `
  alter table turn_contents add column session text;
  update turn_contents set session = turns.session from turns where turns.id = turn_contents.turn;
  create index contents_by_session on turn_contents (hash, session);
`;

/* How far receivers have got with the events of sessions, while they may lack some. */
const DELIVERIES = `
  create table deliveries (
    session text collate "C" not null,
    endpoint text collate "C" not null,
    supervisor text not null,
    after double precision not null,
    at double precision not null,
    primary key (session, endpoint)
  );
`;

/* Turns of before, and those of nodes of an earlier release, are not counted. */
const SPENDING_TURNS = "alter table spent add column turns double precision not null default 0";

export const JOURNAL_TABLES: PostgresTables = {
  name: "journal",
  steps: [
    { sql: FIRST },
    { sql: PROMPT_KIND, additive: true },
    { sql: CONVERSATIONS, additive: true },
    { sql: EVENTS, additive: true },
    { sql: TURN_DETAILS, additive: true },
    { sql: TRANSCRIPTS, additive: true },
    { sql: JOBS, additive: true },
    { sql: DESCRIPTIONS, additive: true },
    { sql: TURN_CONTENTS, additive: true },
    { sql: ASKERS, additive: true },
    { sql: SESSIONS_BY_KEY, additive: true },
    { sql: SHARED_JOBS, additive: true },
    { sql: DUE_SCHEDULES, additive: true },
    { sql: CREATION_ORDER, additive: true },
    { sql: CONTENTS_BY_SESSION, additive: true },
    { sql: DELIVERIES, additive: true },
    { sql: SPENDING_TURNS, additive: true },
  ],
};
