import { checksumIn } from "./sqlite-checksum.ts";
import type { SqliteConnection } from "./sqlite-thread.ts";

/** Application id in the header of a SQLite file: `Cast` in ASCII. */
export const APPLICATION_ID = 0x43617374;

/*
 * Numbers are REAL, as in JavaScript: an INTEGER column rejects fractions. Texts are as `toText` makes them, and values
 * of any shape are JSON. There are no foreign keys: a turn may precede its session, and spending outlives it.
 */
const VERSION_1 = `
  -- The owner of the journal, and the number of its last batch. Releases read each other's rows,
  -- so this table never changes.
  CREATE TABLE owner (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT,
    pid INTEGER,
    host TEXT,
    started_at REAL,
    written INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE sessions (
    key TEXT NOT NULL PRIMARY KEY,
    supervisor TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    memory TEXT NOT NULL,
    saved_at REAL NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE turns (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL,
    prompt TEXT NOT NULL,
    position REAL NOT NULL,
    durable INTEGER NOT NULL,
    timeout_ms REAL,
    queue_timeout_ms REAL,
    accepted_at REAL NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    prompt_id TEXT,
    touched INTEGER NOT NULL,
    ended_at REAL,
    outcome TEXT
  ) STRICT;
  CREATE INDEX turns_of_session ON turns (session, ended_at);
  CREATE INDEX unfinished_turns ON turns (session) WHERE ended_at IS NULL;

  CREATE TABLE approvals (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL,
    tool TEXT NOT NULL,
    input TEXT NOT NULL,
    requested_at REAL NOT NULL,
    outcome TEXT,
    settled_at REAL
  ) STRICT;
  CREATE INDEX approvals_of_session ON approvals (session, requested_at);
  CREATE INDEX settled_approvals ON approvals (settled_at) WHERE settled_at IS NOT NULL;

  CREATE TABLE spending (
    session TEXT NOT NULL,
    supervisor TEXT NOT NULL,
    model TEXT NOT NULL,
    day TEXT NOT NULL,
    cost_usd REAL NOT NULL,
    input_tokens REAL NOT NULL,
    output_tokens REAL NOT NULL,
    cache_read_input_tokens REAL NOT NULL,
    cache_creation_input_tokens REAL NOT NULL,
    PRIMARY KEY (session, supervisor, model, day)
  ) STRICT, WITHOUT ROWID;
`;

/** Turns of earlier releases count as text from here on, which is harmless. */
const PROMPT_KIND = "ALTER TABLE turns ADD COLUMN prompt_kind TEXT";

const CONVERSATIONS = `
  -- Conversations that sessions have left.
  CREATE TABLE conversations (
    seq INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    memory TEXT NOT NULL,
    left_at REAL NOT NULL
  ) STRICT;
  CREATE INDEX conversations_of_session ON conversations (session);

  -- Has a row while unused parts of the file may contain deleted data.
  CREATE TABLE residue (only INTEGER PRIMARY KEY CHECK (only = 1)) STRICT;
`;

/* From here on a row without its own checksum counts as damaged. */
const CHECKSUMS = `
  ALTER TABLE sessions ADD COLUMN checksum INTEGER;
  ALTER TABLE turns ADD COLUMN accepted_checksum INTEGER;
  ALTER TABLE turns ADD COLUMN progress_checksum INTEGER;
  ALTER TABLE approvals ADD COLUMN checksum INTEGER;
  ALTER TABLE conversations ADD COLUMN checksum INTEGER;
  ALTER TABLE spending ADD COLUMN checksum INTEGER;
  UPDATE sessions SET checksum = ${checksumIn("sessions")};
  UPDATE turns SET accepted_checksum = ${checksumIn("accepted")}, progress_checksum = ${checksumIn("progress")};
  UPDATE approvals SET checksum = ${checksumIn("approvals")};
  UPDATE conversations SET checksum = ${checksumIn("conversations")};
  UPDATE spending SET checksum = ${checksumIn("spending")};
`;

const OPENINGS = `
  -- The number of openings for writing, and of the batches at the last close.
  CREATE TABLE openings (only INTEGER PRIMARY KEY CHECK (only = 1), openings INTEGER NOT NULL, written INTEGER NOT NULL) STRICT;
  INSERT INTO openings VALUES (1, 0, 0);
`;

const EVENTS = `
  -- One row for each session that has ever had an event: the number and the end offset of its last deleted event.
  -- Ids are never used again: pruning reads an id in one transaction and deletes by it in the next.
  CREATE TABLE event_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL UNIQUE,
    pruned_number REAL NOT NULL,
    pruned_offset REAL NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;

  -- Consecutive events of a session, as one batch appended them. They are only ever inserted at the end of the table, so
  -- that the events of many sessions share its last page. The end offset is the number of bytes of all events of the
  -- session up to these. Searches for types read only the first index.
  CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    earliest REAL NOT NULL,
    latest REAL NOT NULL,
    turn TEXT,
    types TEXT NOT NULL,
    end_offset REAL NOT NULL,
    checksum INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_of_log ON events (log, first, types);
  CREATE INDEX events_of_turn ON events (turn, log) WHERE turn IS NOT NULL;

  CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    media_type TEXT,
    checksum INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;

  -- Which events refer to which contents.
  CREATE TABLE event_contents (
    hash TEXT NOT NULL,
    log INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (hash, log, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX contents_of_event ON event_contents (log, number);
`;

/* Earlier turns have a caller and no metadata. An index that has only ended turns is written once a turn, not twice. */
const TURN_DETAILS = `
  ALTER TABLE turns ADD COLUMN origin TEXT;
  ALTER TABLE turns ADD COLUMN metadata TEXT;
  ALTER TABLE turns ADD COLUMN details_checksum INTEGER;
  CREATE INDEX turns_by_number ON turns (session);
  DROP INDEX turns_of_session;
  CREATE INDEX ended_turns ON turns (session, ended_at) WHERE ended_at IS NOT NULL;
`;

const TRANSCRIPTS = `
  -- The transcripts of conversations, and, with a subpath, of their subagents. They belong to a session.
  CREATE TABLE transcripts (
    id INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    subpath TEXT NOT NULL,
    session TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (conversation_id, subpath)
  ) STRICT;
  CREATE INDEX transcripts_of_session ON transcripts (session);

  -- The position is the id of the transcript, shifted by 32 bits, plus a number that rises with each part.
  CREATE TABLE transcript_parts (
    position INTEGER PRIMARY KEY,
    last_uuid TEXT,
    checksum INTEGER NOT NULL,
    lines TEXT NOT NULL
  ) STRICT;
`;

/* Prompts that wait for a session or a member of a pool. */
const JOBS = `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_kind TEXT,
    due_at REAL NOT NULL,
    created_at REAL NOT NULL,
    terms TEXT NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX jobs_of_session ON jobs (session, due_at);
`;

/*
 * The earliest time that is known of an earlier session counts as its creation. Each session is in one of the two indexes
 * for lists.
 */
const DESCRIPTIONS = `
  ALTER TABLE sessions ADD COLUMN created_at REAL;
  ALTER TABLE sessions ADD COLUMN title TEXT;
  ALTER TABLE sessions ADD COLUMN labels TEXT;
  ALTER TABLE sessions ADD COLUMN archived_at REAL;
  ALTER TABLE sessions ADD COLUMN description_memory TEXT;
  ALTER TABLE sessions ADD COLUMN description_checksum INTEGER;
  UPDATE sessions SET created_at = min(saved_at,
    coalesce((SELECT min(accepted_at) FROM turns WHERE session = sessions.key), saved_at),
    coalesce((SELECT min(left_at) FROM conversations WHERE session = sessions.key), saved_at));
  UPDATE sessions SET description_checksum = ${checksumIn("description")};
  CREATE INDEX present_sessions ON sessions (supervisor, key) WHERE archived_at IS NULL;
  CREATE INDEX archived_sessions ON sessions (supervisor, key) WHERE archived_at IS NOT NULL;
  CREATE TABLE session_labels (
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (label, value, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX labels_of_session ON session_labels (key);
`;

/* Triggers delete the contents with the last turn that refers to them, whatever deletes the turn. */
const TURN_CONTENTS = `
  -- Which turns refer to which contents, by the turn's seq.
  CREATE TABLE turn_contents (
    hash TEXT NOT NULL,
    turn INTEGER NOT NULL,
    PRIMARY KEY (hash, turn)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX contents_of_turn ON turn_contents (turn);
  CREATE TRIGGER turn_deleted AFTER DELETE ON turns BEGIN
    DELETE FROM turn_contents WHERE turn = old.seq;
  END;
  CREATE TRIGGER turn_content_deleted AFTER DELETE ON turn_contents BEGIN
    DELETE FROM contents WHERE hash = old.hash
      AND NOT EXISTS (SELECT 1 FROM turn_contents WHERE hash = old.hash)
      AND NOT EXISTS (SELECT 1 FROM event_contents WHERE hash = old.hash);
  END;
`;

/* Callers of earlier turns did not say who asks. */
const ASKERS = `
  ALTER TABLE turns ADD COLUMN asked_by TEXT;
  ALTER TABLE turns ADD COLUMN asker_checksum INTEGER;
`;

/* For lists in order of creation. */
const CREATION_ORDER = `
  CREATE INDEX sessions_by_creation ON sessions (supervisor, coalesce(created_at, 0), key);
  CREATE INDEX present_sessions_by_creation ON sessions (supervisor, coalesce(created_at, 0), key) WHERE archived_at IS NULL;
`;

/* Tells whether any turn of a session refers to a content. */
const CONTENTS_OF_SESSIONS = `
  ALTER TABLE turn_contents ADD COLUMN session TEXT;
  UPDATE turn_contents SET session = (SELECT session FROM turns WHERE seq = turn);
  CREATE INDEX contents_of_session ON turn_contents (hash, session);
`;

/* How far receivers have got with the events of sessions, while they may lack some. */
const DELIVERIES = `
  CREATE TABLE deliveries (
    session TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    supervisor TEXT NOT NULL,
    after_number REAL NOT NULL,
    at REAL NOT NULL,
    checksum INTEGER,
    PRIMARY KEY (session, endpoint)
  ) STRICT, WITHOUT ROWID;
`;

/* Turns of before are not counted. */
const SPENDING_TURNS = `
  ALTER TABLE spending ADD COLUMN turns REAL NOT NULL DEFAULT 0;
  ALTER TABLE spending ADD COLUMN turns_checksum INTEGER;
  UPDATE spending SET turns_checksum = ${checksumIn("spending_turns")};
`;

/** The migrations in order, from an empty file. Append-only once released. */
export const MIGRATIONS: readonly string[] = [
  VERSION_1,
  PROMPT_KIND,
  CONVERSATIONS,
  CHECKSUMS,
  OPENINGS,
  EVENTS,
  TURN_DETAILS,
  TRANSCRIPTS,
  JOBS,
  DESCRIPTIONS,
  TURN_CONTENTS,
  ASKERS,
  CREATION_ORDER,
  CONTENTS_OF_SESSIONS,
  DELIVERIES,
  SPENDING_TURNS,
];

/**
 * Migrates a file to the last of `migrations`: a new file in one transaction, another one in one for each, so that an
 * interrupted migration continues where it stopped.
 *
 * @param begun called once there are tables to write to, and before a migration that may take long
 */
export async function migrate(
  connection: SqliteConnection,
  version: number,
  migrations: readonly string[],
  begun: () => Promise<void> = async () => {},
): Promise<void> {
  const marks = (made: number): string => `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${made}`;
  const apply = (from: number, to: number): Promise<unknown> =>
    connection.run(
      [...migrations.slice(from, to), marks(to)].map((sql) => ({ sql, script: true })),
      { transaction: true },
    );
  if (version === 0) {
    await apply(0, migrations.length);
    return await begun();
  }
  await begun();
  for (let made = version; made < migrations.length; made++) await apply(made, made + 1);
}
