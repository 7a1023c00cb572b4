import type { PostgresTables } from "../../journal/postgres/postgres-schema.ts";

/*
 * Keys and boot ids are stored as stored-text.ts writes them; times are the server's. A session whose owner is absent
 * or has ended has no owner. Transactions that lock rows of both tables lock those of `globals` first, ordered by key.
 */
const FIRST = `
  create table nodes (
    boot text collate "C" primary key,
    name text not null,
    address text not null,
    lowest_protocol integer not null,
    highest_protocol integer not null,
    release text not null,
    labels json not null,
    hosts json not null,
    max_processes double precision,
    stale_ms double precision not null,
    load double precision not null default 0,
    draining boolean not null default false,
    renewed_at timestamptz not null,
    ended_at timestamptz
  );
  create table globals (
    key text collate "C" primary key,
    owner text collate "C",
    epoch bigint not null
  );
  create index globals_by_owner on globals (owner) where owner is not null;
  create table batches (
    boot text collate "C" primary key,
    term bigint not null,
    number bigint not null
  );
`;

/* The highest epoch among deleted sessions. A session of the same name continues above it, so that no epoch repeats. */
const FORGOTTEN = `
  create table forgotten (
    only_one boolean primary key default true check (only_one),
    epoch bigint not null
  );
`;

/*
 * The history of the database, see history-statements.ts, and from when on claims are allowed in it. A session's era is
 * that of its last claim; a node's era is the last one for which it has replayed its writes.
 */
const HISTORY = `
  create table history (
    only_one boolean primary key default true check (only_one),
    era bigint not null,
    identity text,
    claims_from timestamptz not null
  );
  insert into history (era, claims_from) values (1, clock_timestamp());
  alter table globals add column era bigint not null default 1;
  alter table nodes add column era bigint not null default 0;
`;

/* What a node tells of itself, for people. */
const REPORTS = "alter table nodes add column report json";

/* What each node holds of the limit of running turns, and how many turns it would run. */
const TURNS = `
  alter table nodes add column turns_held double precision not null default 0;
  alter table nodes add column turns_wanted double precision not null default 0;
`;

/* Before when the lease of a node may last of which the database knows nothing after a failover. */
const UNKNOWN_NODES = "alter table history add column claims_not_before timestamptz not null default '-infinity'";

export const CLUSTER_TABLES: PostgresTables = {
  name: "cluster",
  steps: [
    { sql: FIRST },
    { sql: FORGOTTEN, additive: true },
    { sql: HISTORY, additive: true },
    { sql: REPORTS, additive: true },
    { sql: TURNS, additive: true },
    { sql: UNKNOWN_NODES, additive: true },
  ],
};
