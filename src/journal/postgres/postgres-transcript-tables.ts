import type { PostgresTables } from "./postgres-schema.ts";

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
