import type { Change } from "../model/change.ts";
import { IN_TRANSACTION } from "./postgres-database.ts";

/**
 * The rows of a statement, and none outside of a transaction: the statements of a batch are sent before it is known that
 * their transaction has begun.
 */
const ROWS = `case when ${IN_TRANSACTION} then $1::json end`;

/*
 * Deletes everything that goes with a session. `forgotten` has the keys. The contents are locked, see below. Arrays make
 * the planner use indexes.
 */
const NOTHING_OF_IT = `
      logs as (select id from event_logs where session = any(array(select session from forgotten))),
      its_turns as (select id from turns where session = any(array(select session from forgotten))),
      named as (
        select hash from event_contents where log = any(array(select id from logs))
        union select hash from turn_contents where turn = any(array(select id from its_turns))
      ),
      no_contents as (
        delete from contents where hash = any(array(select hash from named)) and not exists (
          select from event_contents as other where other.hash = contents.hash and other.log not in (select id from logs)
        ) and not exists (
          select from turn_contents as other
          where other.hash = contents.hash and other.turn not in (select id from its_turns)
        )
      ),
      no_turn_contents as (delete from turn_contents where turn = any(array(select id from its_turns))),
      no_references as (delete from event_contents where log = any(array(select id from logs))),
      no_events as (delete from events where log = any(array(select id from logs))),
      no_logs as (delete from event_logs using forgotten where event_logs.session = forgotten.session),
      no_turns as (delete from turns using forgotten where turns.session = forgotten.session),
      no_approvals as (delete from approvals using forgotten where approvals.session = forgotten.session),
      no_transcripts as (
        delete from journal_transcripts using forgotten where journal_transcripts.session = forgotten.session
      ),
      no_deliveries as (delete from deliveries using forgotten where deliveries.session = forgotten.session),
      no_jobs as (delete from jobs using forgotten where jobs.session = forgotten.session),
      no_conversations as (delete from conversations using forgotten where conversations.session = forgotten.session)`;

/** Inserts jobs: prompts that a session runs later, or, if `pooled`, jobs of a pool on several nodes. */
function insertJobs(pooled: boolean): string {
  return `
    insert into jobs (id, session, prompt, prompt_kind, due_at, created_at, priority, terms, pooled)
    select id, session, prompt, prompt_kind, due_at, created_at, priority, terms::json, ${pooled} from json_to_recordset(${ROWS})
      as row (id text, session text, prompt text, prompt_kind text, due_at double precision,
        created_at double precision, priority double precision, terms text)`;
}

/**
 * The statements by type of change, for any number of changes at once. The one parameter is the rows as JSON. Nested
 * JSON is passed as text: PostgreSQL does not unpack JSON that contains U+0000 or lone surrogates.
 */
export const CHANGE_STATEMENTS: { readonly [Type in Change["type"]]: string } = {
  session_saved: `
    insert into sessions (key, supervisor, conversation_id, memory, saved_at)
    select key, supervisor, conversation_id, memory::json, saved_at from json_to_recordset(${ROWS})
      as row (key text, supervisor text, conversation_id text, memory text, saved_at double precision)
    on conflict (key) do update set supervisor = excluded.supervisor, conversation_id = excluded.conversation_id,
      memory = excluded.memory, saved_at = excluded.saved_at`,

  session_described: `
    update sessions set created_at = row.created_at, title = row.title, labels = row.labels::json,
      archived_at = row.archived_at, description_memory = row.memory::json
    from json_to_recordset(${ROWS}) as row (key text, created_at double precision, title text, labels text,
      archived_at double precision, memory text)
    where sessions.key = row.key`,

  session_forgotten: `
    with forgotten as (select session from json_to_recordset(${ROWS}) as row (session text)), ${NOTHING_OF_IT}
    delete from sessions using forgotten where sessions.key = forgotten.session`,

  /* Each `as` is unique, so a digest of it and the old digest is unique, too. */
  session_erased: `
    with forgotten as (select session, "as" from json_to_recordset(${ROWS}) as row (session text, "as" text)), ${NOTHING_OF_IT},
      renamed as (
        update spent set session = forgotten."as", digest = sha256(spent.digest || convert_to(forgotten."as", 'UTF8'))
        from forgotten where spent.session = forgotten.session
      )
    delete from sessions using forgotten where sessions.key = forgotten.session`,

  conversation_left: `
    insert into conversations (session, conversation_id, memory, left_at)
    select session, conversation_id, memory::json, left_at from json_to_recordset(${ROWS})
      as row (session text, conversation_id text, memory text, left_at double precision)`,

  conversation_erased: `
    with erased as (select * from json_to_recordset(${ROWS}) as row (session text, conversation_id text)),
      no_transcripts as (
        delete from journal_transcripts using erased where journal_transcripts.session = erased.session
          and journal_transcripts.conversation_id = erased.conversation_id
      )
    delete from conversations using erased
    where conversations.session = erased.session and conversations.conversation_id = erased.conversation_id`,

  turn_accepted: `
    insert into turns (id, session, prompt, prompt_kind, position, durable, timeout_ms, queue_timeout_ms, accepted_at,
      origin, asked_by, metadata, state, attempts, prompt_id)
    select id, session, prompt, prompt_kind, position, durable, timeout_ms, queue_timeout_ms, accepted_at, origin,
      asked_by, metadata::json, state, attempts, prompt_id from json_to_recordset(${ROWS})
      as row (id text, session text, prompt text, prompt_kind text, position double precision, durable boolean,
        timeout_ms double precision, queue_timeout_ms double precision, accepted_at double precision, origin text,
        asked_by text, metadata text, state text, attempts integer, prompt_id text)
    on conflict (id) do nothing`,

  turn_withdrawn: `
    with withdrawn as (
      delete from turns using json_to_recordset(${ROWS}) as row (id text)
      where turns.id = row.id and attempts = 0 and ended_at is null returning turns.id
    ), released as (
      delete from turn_contents where turn = any(array(select id from withdrawn)) returning hash
    )
    delete from contents where hash = any(array(select hash from released))
      and not exists (select from event_contents as other where other.hash = contents.hash)
      and not exists (
        select from turn_contents as other
        where other.hash = contents.hash and other.turn not in (select id from withdrawn)
      )`,

  turn_begun: `
    update turns set state = 'running', attempts = row.attempts, prompt_id = row.prompt_id, touched = false
    from json_to_recordset(${ROWS}) as row (id text, prompt_id text, attempts integer)
    where turns.id = row.id and ended_at is null`,

  turn_touched: `
    update turns set touched = true from json_to_recordset(${ROWS}) as row (id text)
    where turns.id = row.id and ended_at is null`,

  turn_requeued: `
    update turns set state = 'queued', position = row.position, attempts = coalesce(row.attempts, turns.attempts)
    from json_to_recordset(${ROWS}) as row (id text, position double precision, attempts integer)
    where turns.id = row.id and ended_at is null`,

  turn_ended: `
    update turns set state = row.state, ended_at = row.ended_at, outcome = row.outcome::json
    from json_to_recordset(${ROWS}) as row (id text, state text, ended_at double precision, outcome text)
    where turns.id = row.id and turns.ended_at is null`,

  delivery_due: `
    insert into deliveries (session, endpoint, supervisor, after, at)
    select session, endpoint, supervisor, after, at from json_to_recordset(${ROWS})
      as row (session text, endpoint text, supervisor text, after double precision, at double precision)
    on conflict (session, endpoint) do update set supervisor = excluded.supervisor,
      after = least(deliveries.after, excluded.after), at = greatest(deliveries.at, excluded.at)`,

  delivery_advanced: `
    update deliveries set after = row.after, at = row.at from json_to_recordset(${ROWS})
      as row (session text, endpoint text, after double precision, at double precision)
    where deliveries.session = row.session and deliveries.endpoint = row.endpoint`,

  delivery_done: `
    delete from deliveries using json_to_recordset(${ROWS}) as row (session text, endpoint text)
    where deliveries.session = row.session and deliveries.endpoint = row.endpoint`,

  job_saved: `
    ${insertJobs(false)}
    on conflict (id) do update set session = excluded.session, prompt = excluded.prompt,
      prompt_kind = excluded.prompt_kind, due_at = excluded.due_at, created_at = excluded.created_at,
      priority = excluded.priority, terms = excluded.terms`,

  job_added: `
    ${insertJobs(true)}
    on conflict (id) do nothing`,

  job_dropped: `delete from jobs using json_to_recordset(${ROWS}) as row (id text) where jobs.id = row.id`,

  spent: `
    insert into spent
    select decode(digest, 'hex'), supervisor, session, model, day, cost_usd, input_tokens, output_tokens,
      cache_read_input_tokens, cache_creation_input_tokens, turns from json_to_recordset(${ROWS})
      as row (digest text, supervisor text, session text, model text, day text, cost_usd double precision,
        input_tokens double precision, output_tokens double precision, cache_read_input_tokens double precision,
        cache_creation_input_tokens double precision, turns double precision)
    on conflict (digest) do update set cost_usd = spent.cost_usd + excluded.cost_usd,
      input_tokens = spent.input_tokens + excluded.input_tokens,
      output_tokens = spent.output_tokens + excluded.output_tokens,
      cache_read_input_tokens = spent.cache_read_input_tokens + excluded.cache_read_input_tokens,
      cache_creation_input_tokens = spent.cache_creation_input_tokens + excluded.cache_creation_input_tokens,
      turns = spent.turns + excluded.turns`,

  approval_requested: `
    insert into approvals (id, session, tool, input, requested_at)
    select id, session, tool, input::json, requested_at from json_to_recordset(${ROWS})
      as row (id text, session text, tool text, input text, requested_at double precision)
    on conflict (id) do nothing`,

  approval_settled: `
    update approvals set outcome = row.outcome, settled_at = row.settled_at
    from json_to_recordset(${ROWS}) as row (id text, outcome text, settled_at double precision)
    where approvals.id = row.id and approvals.settled_at is null`,

  /* A function of the database, whose plan a connection makes once: it takes seven times as long to plan as to run. */
  event_appended: `select from append_segments(${ROWS})`,

  /* The transcripts exist. */
  transcript_appended: `
    insert into journal_transcript_parts (transcript, number, last_uuid, lines)
    select id, last + row_number() over (partition by id order by row.ordinal), last_uuid, lines
    from json_to_recordset(${ROWS})
      as row (ordinal integer, conversation_id text, subpath text, last_uuid text, lines text)
      join journal_transcripts using (conversation_id, subpath)
      cross join lateral (
        select coalesce(max(number), 0) as last from journal_transcript_parts where transcript = id
      ) as parts`,
};

/** Creates the transcripts that do not exist, and assigns them to their sessions. */
export const BEGIN_TRANSCRIPTS: string = `
  insert into journal_transcripts (conversation_id, subpath, session)
  select conversation_id, subpath, session
    from json_to_recordset(${ROWS}) as row (conversation_id text, subpath text, session text)
  on conflict (conversation_id, subpath) do update set session = excluded.session`;

/** As `event_appended`, for events that refer to contents. */
export const APPEND_WITH_CONTENTS: string = `insert into event_contents (hash, log, number) select hash, log, number from append_segments(${ROWS})`;

/*
 * A content is deleted with the last event or turn that refers to it, while other sessions may just be about to refer to it. So
 * both sides lock it. The deletion locks it in a statement of its own: the next statement sees what others have committed
 * before the lock was granted.
 */

/** Stores a content, or locks it if it is there. The second parameter is its data. */
export const STORE_CONTENT: string = `
  insert into contents (hash, media_type, data)
  select hash, media_type, $2::bytea from json_to_recordset(${ROWS}) as row (hash text, media_type text)
  on conflict (hash) do update set hash = excluded.hash`;

/** Records to which contents turns refer, if they were accepted with this prompt. */
export const REFER_FROM_TURNS: string = `
  insert into turn_contents (hash, turn, session)
  select row.hash, turns.id, turns.session from json_to_recordset(${ROWS}) as row (hash text, id text, prompt text)
    join turns on turns.id = row.id and turns.prompt = row.prompt
  on conflict (hash, turn) do nothing`;

/** Deletes stored contents to which nothing refers, because their events or turns were known already. */
export const DROP_UNUSED_CONTENTS: string = `
  delete from contents using json_to_recordset(${ROWS}) as row (hash text)
  where contents.hash = row.hash
    and not exists (select from event_contents as other where other.hash = contents.hash)
    and not exists (select from turn_contents as other where other.hash = contents.hash)`;

/** Lock the logs of sessions, as pruning does, and then their contents. */
export const LOCK_LOGS: string = `
  select from event_logs where session = any(array(select session from json_to_recordset(${ROWS}) as row (session text)))
  order by id for update`;
export const LOCK_CONTENTS: string = `
  with gone as (select session from json_to_recordset(${ROWS}) as row (session text))
  select from contents where hash = any(array(
    select hash from event_contents where log = any(array(
      select id from event_logs where session = any(array(select session from gone))
    ))
    union select hash from turn_contents where turn = any(array(
      select id from turns where session = any(array(select session from gone))
    ))
  )) order by hash for update`;

/** Replace the labels of described sessions. */
export const FORGET_LABELS: string = `
  delete from session_labels using json_to_recordset(${ROWS}) as row (key text) where session_labels.key = row.key`;
export const ADD_LABELS: string = `
  insert into session_labels (label, value, key)
  select label, value, sessions.key from json_to_recordset(${ROWS}) as row (label text, value text, key text)
    join sessions on sessions.key = row.key
  on conflict do nothing`;

/** Locks the contents of turns. */
export const LOCK_TURN_CONTENTS: string = `
  select from contents where hash = any(array(
    select hash from turn_contents where turn = any(array(select id from json_to_recordset(${ROWS}) as row (id text)))
  )) order by hash for update`;
