import type { Clock } from "../../clock.ts";
import { fromText, toText } from "../../journal/model/stored-text.ts";
import { LazyDatabase } from "../../journal/postgres/lazy-database.ts";
import { JOURNAL_TABLES } from "../../journal/postgres/postgres-journal-tables.ts";
import {
  type PostgresLocation,
  type PostgresOptions,
  postgresLocation,
} from "../../journal/postgres/postgres-location.ts";
import { SERVER_VERSION, type ServerVersionRow } from "../../journal/postgres/postgres-rows.ts";
import { keyPrefix, nameOfKey } from "../../names.ts";
import { GLOBAL } from "../../session/options/global-name.ts";
import type {
  Claim,
  ClockSkew,
  DescribedSession,
  Engine,
  EngineFindQuery,
  NameHolder,
  NodeDescription,
  NodeEntry,
  NodeState,
  OwnedSession,
  SessionOwnership,
} from "../protocol/engine.ts";
import { type TurnShare, turnShare } from "../protocol/turn-share.ts";
import { CLUSTER_TABLES } from "./cluster-tables.ts";
import { type FoundRow, findStatement, foundOf } from "./find-statement.ts";
import {
  detectNewHistory,
  END_WAIT,
  EPOCHS_OF_AN_ERA,
  ERA,
  HAS_NOTHING_TO_REPLAY,
  HAS_REPLAYED,
  MAY_CLAIM,
} from "./history-statements.ts";
import { COUNT_JOBS, RESERVE_JOB } from "./job-statements.ts";
import {
  isAlive,
  isStale,
  JOIN,
  joinValues,
  NAME_HOLDER,
  type NameHolderRow,
  NODE_COLUMNS,
  type NodeRow,
  nameHolderOf,
  nodeOf,
} from "./node-rows.ts";
import { notifyIfAny, PostgresNotifications } from "./postgres-notifications.ts";
import { RenewalConnection } from "./renewal-connection.ts";

export interface PostgresEngineOptions extends PostgresOptions {
  /** Timeout of a renewal, in milliseconds. */
  readonly renewTimeoutMs: number;
  /**
   * URL that does not lead through a transaction pooler, for notifications of changed owners; `false` for none.
   * Default: `postgres`.
   */
  readonly listen?: string | false;
  /** Reports something that the operator should know. */
  warn?(message: string): void;
}

/**
 * An engine in a schema of a PostgreSQL database, which may also hold the journal. Needs the package `pg`. Its clock is
 * the database's.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function postgresEngine(options: PostgresEngineOptions, clock: Clock): Engine {
  return new PostgresEngine(postgresLocation(options), options, clock);
}

/** Statement timeout, and how long a suspended node may keep a session locked, in milliseconds. */
const STATEMENT_MS = 10_000;
const IDLE_MS = 1_000;

class PostgresEngine implements Engine {
  readonly location: string;
  readonly #schema: string;
  readonly #database: LazyDatabase;
  readonly #renewals: RenewalConnection;
  readonly #news: PostgresNotifications | undefined;
  /** The descriptions of the runs that joined here. */
  readonly #joined = new Map<string, NodeDescription>();
  #skew: ClockSkew | undefined;
  #era: number | undefined;

  constructor(
    location: PostgresLocation,
    { renewTimeoutMs, listen = location.url, warn }: PostgresEngineOptions,
    clock: Clock,
  ) {
    this.location = location.label;
    this.#schema = location.schema;
    const terms = { timeoutMs: STATEMENT_MS, idleMs: IDLE_MS };
    this.#database = new LazyDatabase(location, "cluster", terms, [JOURNAL_TABLES, CLUSTER_TABLES]);
    this.#renewals = new RenewalConnection(location, renewTimeoutMs, clock);
    const { schema } = location;
    const pooled = (): void => warn?.(noNotifications(postgresLocation({ postgres: String(listen), schema })));
    this.#news = listen === false ? undefined : new PostgresNotifications({ url: listen, schema, pooled }, clock);
  }

  get era(): number | undefined {
    return this.#era;
  }

  get skew(): ClockSkew | undefined {
    return this.#skew;
  }

  async join(node: NodeDescription): Promise<NameHolder | undefined> {
    return await this.#join(node, true);
  }

  /** @param isNew whether the node has replayed its writes, and needs a free name; otherwise the database has lost its row */
  async #join(node: NodeDescription, isNew: boolean): Promise<NameHolder | undefined> {
    const { database, history } = await this.#database.useWithHistory();
    const holder = await database.transaction(async (query): Promise<NameHolder | undefined> => {
      if (isNew) {
        const named = [toText(node.name), toText(node.boot)];
        const [, [found]] = await Promise.all([query(LOCK_NODES), query<NameHolderRow>(NAME_HOLDER, named)]);
        if (found !== undefined) return nameHolderOf(found);
      }
      const [, , , [row]] = await Promise.all([
        query(detectNewHistory(history)),
        query(CLEAN),
        query(JOIN, joinValues(node)),
        query<EraRow>(`select ${ERA} as era`),
        isNew ? query(HAS_NOTHING_TO_REPLAY, [toText(node.boot)]) : undefined,
        query(END_WAIT),
      ]);
      this.#era = row?.era;
      return undefined;
    });
    if (holder === undefined) this.#joined.set(node.boot, node);
    return holder;
  }

  async renew(boot: string, state: NodeState): Promise<boolean> {
    const { history } = await this.#database.useWithHistory();
    const renewal = await this.#renewals.renew(boot, state, history);
    this.#era = renewal?.era ?? this.#era;
    this.#skew = renewal?.skew ?? this.#skew;
    return renewal !== undefined || (await this.#rejoin(boot));
  }

  /** Inserts a node again into a database that has lost it in a failover or a restore. */
  async #rejoin(boot: string): Promise<boolean> {
    const node = this.#joined.get(boot);
    if (node === undefined || (await this.#read(KNOWN, [toText(boot)])).length > 0) return false;
    await this.#join(node, false);
    return true;
  }

  async caughtUp(boot: string, era: number): Promise<void> {
    const database = await this.#database.use();
    await database.transaction((query) => Promise.all([query(HAS_REPLAYED, [toText(boot), era]), query(END_WAIT)]));
  }

  async leave(boot: string): Promise<void> {
    this.#joined.delete(boot);
    await this.#change(LEAVE, [toText(boot), this.#schema]);
  }

  async claim(boot: string, key: string): Promise<Claim> {
    const { database, history } = await this.#database.useWithHistory();
    const session = toText(key);
    const values = [session, toText(boot)];
    return await database.transaction(async (query): Promise<Claim> => {
      const [, , , [taken]] = await Promise.all([
        query(detectNewHistory(history)),
        query(LOCK_SESSION, [session]),
        query(END_STALE_OWNER, [...values, this.#schema]),
        query<{ readonly epoch: number }>(TAKE_SESSION, values),
      ]);
      if (taken !== undefined) return { taken: true, epoch: taken.epoch };
      const [owner] = await query<OwnerRow>(LIVING_OWNER, [session]);
      return { taken: false, owner: owner && ownershipOf(owner) };
    });
  }

  async release(boot: string, key: string, epoch: number): Promise<void> {
    await this.#change(RELEASE, [toText(boot), this.#schema, toText(key), epoch]);
  }

  async forget(key: string): Promise<void> {
    const database = await this.#database.use();
    const values = [toText(key)];
    await database.transaction((query) => Promise.all([query(LOCK_ROW, values), query(FORGET, values)]));
  }

  async ownerOf(key: string): Promise<SessionOwnership | undefined> {
    const [owner] = await this.#read<OwnerRow>(OWNER, [toText(key)]);
    return owner && ownershipOf(owner);
  }

  async nodes(): Promise<readonly NodeEntry[]> {
    return (await this.#read<NodeRow>(NODES)).map(nodeOf);
  }

  async unattended(wanted: readonly string[], limit: number): Promise<readonly string[]> {
    const rows = await this.#read<{ readonly key: string }>(UNATTENDED, [wanted.map(toText), limit, keyPrefix(GLOBAL)]);
    return rows.map(({ key }) => fromText(key));
  }

  async sessions(keyPrefix: string): Promise<readonly OwnedSession[]> {
    const rows = await this.#read<SessionRow>(SESSIONS, [toText(keyPrefix)]);
    return rows.map(({ key, epoch, boot }) => ({
      name: nameOfKey(fromText(key)),
      epoch,
      boot: boot === null ? undefined : fromText(boot),
    }));
  }

  async findSessions(query: EngineFindQuery): Promise<readonly DescribedSession[]> {
    const { text, values } = findStatement(query);
    return (await this.#read<FoundRow>(text, values)).map(foundOf);
  }

  async reserveJob(boot: string, key: string): Promise<string | undefined> {
    const database = await this.#database.use();
    const [job] = await database.transaction((query) =>
      query<{ readonly id: string }>(RESERVE_JOB, [toText(boot), toText(key)]),
    );
    return job && fromText(job.id);
  }

  async shareTurns(boot: string, limit: number, wanted: number, running: number): Promise<TurnShare> {
    const database = await this.#database.use();
    return await database.transaction(async (query): Promise<TurnShare> => {
      const [, rows] = await Promise.all([query(LOCK_NODES), query<TurnsRow>(TURNS)]);
      const nodes = rows.map(({ boot: other, wanted: wants, held }) => ({
        boot: fromText(other),
        wanted: wants,
        held,
      }));
      const own = nodes.find((node) => node.boot === boot);
      // It has been declared dead, and learns so with its next beat.
      if (own === undefined) return { limit: 0, held: running };
      const others = nodes.filter((node) => node !== own);
      const share = turnShare(limit, { ...own, wanted }, running, others);
      await query(SET_TURNS, [toText(boot), wanted, share.held]);
      return share;
    });
  }

  async countJobs(key: string): Promise<number> {
    const [row] = await this.#read<{ readonly count: number }>(COUNT_JOBS, [toText(key)]);
    return row?.count ?? 0;
  }

  listen(changed: () => void): () => void {
    return this.#news?.listen(changed) ?? (() => {});
  }

  async version(): Promise<string> {
    return (await this.#read<ServerVersionRow>(SERVER_VERSION))[0]?.version ?? "";
  }

  async close(): Promise<void> {
    this.#news?.close();
    await Promise.all([this.#database.close(), this.#renewals.close()]);
  }

  async #read<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    const database = await this.#database.use();
    return await database.read<Row>(text, values);
  }

  async #change(text: string, values: readonly unknown[]): Promise<void> {
    const database = await this.#database.use();
    await database.pipeline([{ text, values }]);
  }
}

function noNotifications({ label }: PostgresLocation): string {
  return `\`cluster.notifications\`: ${label} leads through a transaction pooler, which delivers no notifications, so a session without an owner waits for the next beat. Set it to a URL of the database itself, or to \`false\`.`;
}

function ownershipOf({ epoch, ...node }: OwnerRow): SessionOwnership {
  const entry = nodeOf(node);
  return { boot: entry.boot, epoch, node: entry };
}

interface EraRow {
  readonly era: number;
}

interface SessionRow {
  readonly key: string;
  readonly epoch: number;
  readonly boot: string | null;
}

/** Makes nodes join, or divide turns, one after the other, so that each sees what those before it have. */
const LOCK_NODES = "select from history for update";

const TURNS = `select boot, turns_wanted as wanted, turns_held as held from nodes where ${isAlive("nodes")}`;

const SET_TURNS = "update nodes set turns_wanted = $2, turns_held = $3 where boot = $1";

interface TurnsRow {
  readonly boot: string;
  readonly wanted: number;
  readonly held: number;
}

const KNOWN = "select from nodes where boot = $1";

const LEAVE = `
  with ended as (
    update nodes set ended_at = clock_timestamp() where boot = $1 and ended_at is null returning boot
  )
  ${notifyIfAny("$2", "ended")}`;

const RELEASE = `
  with released as (
    update globals set owner = null where owner = $1 and key = $3 and epoch = $4 returning key
  )
  ${notifyIfAny("$2", "released")}`;

/* A concurrent claim commits either before the next statement sees the row or after the row is gone. */
const LOCK_ROW = "select from globals where key = $1 for update";

const FORGET = `
  with gone as (
    delete from globals where key = $1 and not exists (select from nodes where boot = globals.owner and ended_at is null)
    returning epoch
  )
  insert into forgotten (epoch) select epoch from gone
  on conflict (only_one) do update set epoch = greatest(forgotten.epoch, excluded.epoch)`;

const NODES = `select ${NODE_COLUMNS} from nodes where ended_at is null order by boot`;

const UNATTENDED = `
  with asked as (
    select session collate "C" as key from turns where ended_at is null
      and (starts_with(session, $3) or exists (select from globals where globals.key = turns.session))
    union
    select session from jobs
    where not pooled and due_at <= extract(epoch from clock_timestamp())::double precision * 1000 + 60000 and starts_with(session, $3)
    union
    select session from deliveries where starts_with(session, $3)
    union
    select unnest($1::text[])
  )
  select asked.key from asked left join globals on globals.key = asked.key
    left join nodes on nodes.boot = globals.owner and ${isAlive("nodes")}
  where nodes.boot is null limit $2`;

const SESSIONS = `
  select globals.key, globals.epoch::double precision, nodes.boot from globals
    left join nodes on nodes.boot = globals.owner and ${isAlive("nodes")}
  where starts_with(globals.key, $1) and globals.epoch > 0 order by globals.key`;

/*
 * Ends nodes that have been silent for an hour, and deletes them an hour later unless a session still names them as
 * owner.
 */
const CLEAN = `
  with silent as (
    select boot from nodes where ended_at is null and ${isStale("nodes")} and renewed_at < clock_timestamp() - interval '1 hour'
    for update skip locked
  ), over as (
    select boot from nodes where ended_at < clock_timestamp() - interval '1 hour'
      and not exists (select from globals where owner = nodes.boot)
    for update skip locked
  ), ended as (
    update nodes set ended_at = clock_timestamp() from silent where nodes.boot = silent.boot
  ), no_batches as (
    delete from batches using over where batches.boot = over.boot
  )
  delete from nodes using over where nodes.boot = over.boot`;

/*
 * A claim is a transaction of three statements, each of which sees what others had committed when it began. From the
 * first one on nobody else can claim or write the session. The second one and the owner's renewal change the same row:
 * the later of the two finds its condition unmet.
 */

/** Locks the session's row; inserts it if it is missing. Parameter: the key. */
const LOCK_SESSION = `
  insert into globals as known (key, epoch, era) select $1, 0, era from history
  on conflict (key) do update set owner = known.owner`;

/** Ends the owner if it is stale. Parameters: the key, the claimant's boot id, the schema. */
const END_STALE_OWNER = `
  with ended as (
    update nodes set ended_at = clock_timestamp()
    where boot = (select owner from globals where key = $1) and boot <> $2 and ended_at is null and ${isStale("nodes")}
      and ${MAY_CLAIM}
      and exists (select from nodes as claimant where boot = $2 and ${isAlive("claimant")} and not draining)
    returning boot
  )
  ${notifyIfAny("$3", "ended")}`;

/** Gives the session to the claimant if it has no owner. Parameters: the key, the claimant's boot id. */
const TAKE_SESSION = `
  update globals set owner = $2, era = history.era,
    epoch = case when epoch > 0 then epoch else coalesce((select epoch from forgotten), 0) end
      + case when owner = $2 then 0 when globals.era < history.era then ${EPOCHS_OF_AN_ERA} else 1 end
  from history
  where key = $1 and ${MAY_CLAIM}
    and exists (select from nodes where boot = $2 and ${isAlive("nodes")} and (not draining or globals.owner = $2))
    and (owner = $2 or not exists (select from nodes where boot = globals.owner and ended_at is null))
  returning epoch::double precision`;

/** Selects the owner, unless that node has ended. Parameter: the key. */
const OWNER = `
  select globals.epoch::double precision, ${NODE_COLUMNS} from globals join nodes on nodes.boot = globals.owner
  where globals.key = $1 and nodes.ended_at is null`;

/** Selects the owner if it is alive. Parameter: the key. */
const LIVING_OWNER = `${OWNER} and ${isAlive("nodes")}`;

interface OwnerRow extends NodeRow {
  readonly epoch: number;
}
