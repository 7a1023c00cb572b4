import { type Clock, systemClock } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import { publish } from "../../events.ts";
import type { ApprovalEntry } from "../model/approval-entry.ts";
import type { Batch } from "../model/change.ts";
import type { ConversationEntry } from "../model/conversation-entry.ts";
import type { DeliveryEntry, DeliveryQuery } from "../model/delivery-entry.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery } from "../model/event-entry.ts";
import { type PageSegment, readPage, type SegmentQuery } from "../model/event-page.ts";
import { pruneEvents } from "../model/event-pruning.ts";
import type { JobEntry } from "../model/job-entry.ts";
import type { Journal, JournalOwner, Retention, SessionExtent, SessionRecord } from "../model/journal.ts";
import { KeptStart } from "../model/kept-start.ts";
import type { SessionEntry } from "../model/session-entry.ts";
import type { SessionListQuery } from "../model/session-list.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { TranscriptStore } from "../model/transcript-entry.ts";
import type { TurnEntry, TurnQuery } from "../model/turn-entry.ts";
import type { UsageDimension, UsageEntry, UsageQuery } from "../model/usage-entry.ts";
import { type ChangeStatement, parametersOf, statementsOf } from "./postgres-changes.ts";
import { PostgresDatabase } from "./postgres-database.ts";
import { deliveriesStatement, deliveryOf, PRUNE_DELIVERIES } from "./postgres-deliveries.ts";
import { durabilityProblems } from "./postgres-durability.ts";
import {
  CONTENT,
  CONTENT_OF_SESSION,
  type ContentRow,
  contentOf,
  EXTENT,
  type ExtentRow,
  eventExtentOf,
  type PageRow,
  pageSegmentOf,
  prunableEvents,
  segmentsStatement,
} from "./postgres-events.ts";
import { notOpen, subjectOf } from "./postgres-fault.ts";
import { JOURNAL_TABLES } from "./postgres-journal-tables.ts";
import { journalTranscripts } from "./postgres-journal-transcripts.ts";
import { type PostgresLocation, type PostgresOptions, postgresLocation } from "./postgres-location.ts";
import { PostgresOwnership } from "./postgres-ownership.ts";
import {
  APPROVAL_COLUMNS,
  type ApprovalRow,
  approvalOf,
  CONVERSATION_COLUMNS,
  type ConversationRow,
  conversationOf,
  JOB_COLUMNS,
  type JobRow,
  jobOf,
  SERVER_VERSION,
  SESSION_COLUMNS,
  type ServerVersionRow,
  type SessionRow,
  SPENT_SUMS,
  type SpentRow,
  sessionOf,
  TURN_COLUMNS,
  type TurnRow,
  turnOf,
  usageOf,
} from "./postgres-rows.ts";
import { prepare } from "./postgres-schema.ts";
import { sessionsStatement } from "./postgres-sessions.ts";
import { turnsStatement } from "./postgres-turns.ts";
import { type RecentBatch, RecentBatches } from "./recent-batches.ts";
import type { JournalFencing, WriteFence } from "./write-fence.ts";

export interface PostgresJournalOptions extends PostgresOptions {
  /** Default: the system clock. */
  readonly clock?: Clock;
}

/**
 * Returns a journal in its own schema of a PostgreSQL database. Needs the package `pg`. A pooler is fine.
 *
 * An application that is silent for five seconds loses the journal to the next application that opens it.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function postgresJournal({ clock = systemClock, ...options }: PostgresJournalOptions): Journal {
  const location = postgresLocation(options);
  const take: JournalFencing["take"] = (database, owner) =>
    PostgresOwnership.take(database, location.label, owner, clock);
  const onMissing: JournalFencing["onMissing"] = (missing) => {
    const message = `The journal ${location.label} ${describeMissing(missing)}`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
    const { batches: count, lost } = missing;
    publish("castellan:database:gap", () => ({ location: location.label, content: "journal", count, lost }));
  };
  const doubt: JournalFencing["doubt"] = (problem) => {
    const message = `The journal ${location.label} may lose confirmed commits: ${problem}.`;
    process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_UNAVAILABLE" });
  };
  return new PostgresJournal(location, clock, { tables: [], take, onMissing, doubt });
}

/** Describes the loss of confirmed batches. */
function describeMissing({ batches, lost }: { readonly batches: number; readonly lost: boolean }): string {
  const missing = lost
    ? "the last batches, which this process no longer has: turns, replies and costs are lost."
    : `the last ${batches} batches. Castellan wrote them again.`;
  return `failed over to a replica, or was restored from a backup, and lacked ${missing} Have each commit wait for a synchronous standby to prevent this.`;
}

/** Statement timeout, in milliseconds. */
const STATEMENT_MS = 10_000;

/** Number of connections for everything that is not time-critical. */
const COMMON_CONNECTIONS = 3;

/** Page size for `records`. */
const PAGE = 50;

/** How long closing may wait for the server, in milliseconds. */
const CLOSE_MS = 3_000;

interface Connected {
  /** For reads and pruning. */
  readonly common: PostgresDatabase;
  /** One connection for heartbeats and batches, so that nothing else delays them. */
  readonly reserved: PostgresDatabase;
}

interface OpenJournal extends Connected {
  readonly fence: WriteFence;
  readonly recent: RecentBatches;
}

/** A journal in PostgreSQL. `JournalFencing` decides who may write it. */
export class PostgresJournal implements Journal {
  readonly location: string;
  readonly kind = "postgres";
  readonly transcripts: TranscriptStore;
  readonly #where: PostgresLocation;
  readonly #clock: Clock;
  readonly #fencing: JournalFencing;
  #open: OpenJournal | undefined;
  readonly #kept: KeptStart<Connected>;
  /** Number of a batch that may have been applied without confirmation. */
  #uncertain: number | undefined;

  constructor(where: PostgresLocation, clock: Clock, fencing: JournalFencing) {
    const { former } = fencing;
    this.transcripts = {
      ...journalTranscripts((text, values) => this.#read(text, values)),
      ...(former && { former }),
    };
    this.#where = where;
    this.#clock = clock;
    this.#fencing = fencing;
    this.location = where.label;
    this.#kept = new KeptStart(clock, ({ common, reserved }) => Promise.all([common.close(), reserved.close()]));
  }

  async open(owner: JournalOwner): Promise<void> {
    const before = this.#open;
    const kept = before ?? this.#kept.take();
    const reserved = kept?.reserved ?? (await this.#load(1));
    const common = kept?.common ?? (await this.#load(COMMON_CONNECTIONS));
    try {
      for (const tables of [JOURNAL_TABLES, ...this.#fencing.tables]) await prepare(reserved, tables);
      const fence = await this.#fencing.take(reserved, owner);
      before?.fence.stop();
      const recent = this.#fencing.recent?.(this.#clock) ?? new RecentBatches(this.#clock);
      this.#open = { common, reserved, fence, recent };
      if (before === undefined) void this.#examine(common);
      this.#uncertain = undefined;
    } catch (error) {
      if (CastellanError.is(error, "JOURNAL_IN_USE") && before === undefined) this.#kept.keep({ common, reserved });
      else if (before === undefined) await Promise.all([common.close(), reserved.close()]);
      throw error;
    }
  }

  get lost(): Promise<CastellanError> | undefined {
    return this.#open?.fence.lost;
  }

  async close(): Promise<void> {
    await this.#kept.drop();
    if (this.#open === undefined) return;
    const { common, reserved, fence } = this.#open;
    this.#open = undefined;
    const late = this.#clock.schedule(CLOSE_MS, () => {
      common.abandon();
      reserved.abandon();
    });
    await Promise.all([fence.release().then(() => reserved.close()), common.close()]);
    late.cancel();
  }

  async write(batch: Batch): Promise<void> {
    const { reserved, fence, recent } = this.#opened();
    const { number, durable, sessions = [] } = batch;
    try {
      const statements = statementsOf(batch.changes, reserved.subject);
      if (!(await this.#putNext(batch, statements))) await this.#put(batch, statements);
      recent.add({ number, durable, statements, epochs: fence.epochsOf?.(sessions) ?? new Map() });
    } catch (error) {
      throw this.#withDoubt(error, number);
    }
    this.#uncertain = undefined;
  }

  /**
   * Writes again what the database has lost of its confirmed batches.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async catchUp(): Promise<void> {
    const { recent } = this.#opened();
    await this.#put({ number: recent.last, durable: true });
  }

  async sessions(keys: readonly string[]): Promise<SessionEntry[]> {
    const text = `select ${SESSION_COLUMNS} from sessions where key = any($1)`;
    return (await this.#read<SessionRow>(text, [keys.map(toText)])).map(sessionOf);
  }

  async listSessions(query: SessionListQuery): Promise<SessionEntry[]> {
    const { text, values } = sessionsStatement(query);
    return (await this.#read<SessionRow>(text, values)).map(sessionOf);
  }

  async unfinishedBeginning(keyPrefix: string): Promise<string[]> {
    const text = "select distinct session from turns where ended_at is null and starts_with(session, $1)";
    const rows = await this.#read<{ readonly session: string }>(text, [toText(keyPrefix)]);
    return rows.map(({ session }) => fromText(session)).toSorted();
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    const [row] = await this.#read<TurnRow>(`select ${TURN_COLUMNS} from turns where id = $1`, [toText(id)]);
    return row && turnOf(row);
  }

  async turns(query: TurnQuery): Promise<TurnEntry[]> {
    const { text, values } = turnsStatement(query);
    return (await this.#read<TurnRow>(text, values)).map(turnOf);
  }

  async unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]> {
    const text = `
      select ${TURN_COLUMNS} from turns where session = any($1) and ended_at is null
      order by state = 'running' desc, position, seq`;
    return (await this.#read<TurnRow>(text, [sessions.map(toText)])).map(turnOf);
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    const text = `
      select ${APPROVAL_COLUMNS} from approvals where session = $1 order by requested_at desc, seq desc limit $2`;
    return (await this.#read<ApprovalRow>(text, [toText(session), limit])).map(approvalOf);
  }

  async conversations(session: string): Promise<ConversationEntry[]> {
    const text = `select ${CONVERSATION_COLUMNS} from conversations where session = $1 order by seq`;
    return (await this.#read<ConversationRow>(text, [toText(session)])).map(conversationOf);
  }

  async *records(session: string): AsyncGenerator<SessionRecord, void, undefined> {
    for await (const row of this.#pages<TurnRow>("turns", TURN_COLUMNS, session)) {
      yield { type: "turn", turn: turnOf(row) };
    }
    for await (const row of this.#pages<ApprovalRow>("approvals", APPROVAL_COLUMNS, session)) {
      yield { type: "approval", approval: approvalOf(row) };
    }
    for await (const job of this.jobs(session)) yield { type: "job", job };
  }

  async job(id: string): Promise<JobEntry | undefined> {
    const [row] = await this.#read<JobRow>(`select ${JOB_COLUMNS} from jobs where id = $1`, [toText(id)]);
    return row && jobOf(row);
  }

  async *jobs(session: string): AsyncGenerator<JobEntry, void, undefined> {
    for await (const row of this.#pages<JobRow>("jobs", JOB_COLUMNS, session)) yield jobOf(row);
  }

  async dueBeginning(keyPrefix: string, until: number): Promise<string[]> {
    const text = "select distinct session from jobs where due_at <= $1 and starts_with(session, $2)";
    const rows = await this.#read<{ readonly session: string }>(text, [until, toText(keyPrefix)]);
    return rows.map(({ session }) => fromText(session)).toSorted();
  }

  async deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]> {
    const { text, values } = deliveriesStatement(query);
    return (await this.#read<DeliveryEntry>(text, values)).map(deliveryOf);
  }

  async extent(session: string): Promise<SessionExtent> {
    const text = `select (select count(*)::integer from turns where session = $1) as turns,
      (select count(*)::integer from approvals where session = $1) as approvals,
      (select coalesce(sum(last - first + 1), 0)::integer from event_logs join events on log = id where session = $1) as events`;
    const [row] = await this.#read<SessionExtent>(text, [toText(session)]);
    return row ?? { turns: 0, approvals: 0, events: 0 };
  }

  async events(query: EventQuery): Promise<EventEntry[]> {
    const read = async (wanted: SegmentQuery): Promise<PageSegment[]> => {
      const { text, values } = segmentsStatement(wanted);
      return (await this.#read<PageRow>(text, values)).map(pageSegmentOf);
    };
    return await readPage(query, read, (error) => {
      throw error;
    });
  }

  async eventExtent(session: string): Promise<EventExtent | undefined> {
    const [row] = await this.#read<ExtentRow>(EXTENT, [toText(session)]);
    return row && eventExtentOf(row);
  }

  async content(hash: string, session?: string): Promise<ContentEntry | undefined> {
    const [text, of] = session === undefined ? [CONTENT, []] : [CONTENT_OF_SESSION, [toText(session)]];
    const [row] = await this.#read<ContentRow>(text, [toText(hash), ...of]);
    return row && contentOf(row);
  }

  async version(): Promise<string> {
    return (await this.#read<ServerVersionRow>(SERVER_VERSION, []))[0]?.version ?? "";
  }

  async usage({ supervisor, session, since, until, label, by }: UsageQuery): Promise<UsageEntry[]> {
    const columns = DIMENSIONS.filter((dimension) => by.includes(dimension));
    const [value, labels] =
      label === undefined
        ? [[], ""]
        : [["labels.value"], "left join session_labels as labels on labels.key = session and labels.label = $5"];
    const groups = [...columns, ...value].join(", ");
    const text = `
      select ${[...columns, ...value.map((column) => `${column} as label`), SPENT_SUMS].join(", ")} from spent ${labels}
      where ($1::text is null or supervisor = $1) and ($2::text is null or session = $2)
        and ($3::text is null or day >= $3) and ($4::text is null or day <= $4)
      group by ${groups === "" ? "()" : groups} having count(*) > 0`;
    const asked = [supervisor, session, since, until].map((one) => (one === undefined ? null : toText(one)));
    const values = label === undefined ? asked : [...asked, toText(label)];
    return (await this.#read<SpentRow>(text, values)).map((row) => usageOf(row, columns));
  }

  async prune({ endedSince, turnsPerSession, events }: Retention): Promise<number> {
    const { common } = this.#opened();
    const turns = await common.transaction(async (query) => {
      const [[turns]] = await Promise.all([
        query<PrunedTurns>(PRUNE_TURNS, [endedSince, turnsPerSession]),
        query(PRUNE_APPROVALS, [endedSince]),
        query(PRUNE_DELIVERIES, [endedSince]),
      ]);
      const { count = 0, hashes = [] } = turns ?? {};
      if (hashes.length > 0) await Promise.all([query(LOCK_RELEASED, [hashes]), query(DELETE_RELEASED, [hashes])]);
      return count;
    });
    await pruneEvents(prunableEvents(common), events);
    return turns;
  }

  /** Yields the rows of a session in a table, in the order of their writes. */
  async *#pages<Row extends object>(
    table: "turns" | "approvals" | "jobs",
    columns: string,
    session: string,
  ): AsyncGenerator<Row & Numbered, void, undefined> {
    const text = `select ${columns}, seq::text as number from ${table} where session = $1 and seq > $2 order by seq limit ${PAGE}`;
    for (let last = "0"; ; ) {
      const rows = await this.#read<Row & Numbered>(text, [toText(session), last]);
      yield* rows;
      const number = rows.at(-1)?.number;
      if (number === undefined || rows.length < PAGE) return;
      last = number;
    }
  }

  async #load(connections: number): Promise<PostgresDatabase> {
    return await PostgresDatabase.load(this.#where, "journal", { timeoutMs: STATEMENT_MS, connections });
  }

  /** Reports in the background why the database may lose commits. */
  async #examine(database: PostgresDatabase): Promise<void> {
    const problems = await durabilityProblems(database).catch(() => []);
    for (const problem of problems) this.#fencing.doubt?.(problem);
  }

  /** Does not trust a read while the database lacks confirmed batches. */
  async #read<Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]> {
    for (;;) {
      const { common, fence, recent } = this.#opened();
      const { last } = recent;
      const [rows, [mark]] = await common.readBoth<Row, MarkRow>({ text, values }, fence.mark);
      if (last === 0 || (mark !== undefined && mark.number >= last)) return rows;
      await this.catchUp();
    }
  }

  /** Writes a batch in one round trip. Returns whether it did: `#put` tells why not, or handles it. */
  async #putNext({ number, durable, sessions = [] }: Batch, own: readonly ChangeStatement[]): Promise<boolean> {
    const { reserved, fence, recent } = this.#opened();
    const conditions = fence.conditions({ number, sessions }, recent.last);
    if (conditions === undefined) return false;
    const { before, after } = conditions;
    const statements = [
      { ...before, isCondition: true },
      ...own.map((statement) => ({ text: statement.text, values: parametersOf(statement) })),
      ...(after === undefined ? [] : [{ ...after, isCondition: true }]),
    ];
    return (await reserved.pipeline(statements, { durable })) !== undefined;
  }

  /** Writes a batch, after the confirmed batches that the database lacks. */
  async #put(
    { number, durable, sessions = [] }: Omit<Batch, "changes">,
    own?: readonly ChangeStatement[],
  ): Promise<void> {
    const { reserved, fence, recent } = this.#opened();
    let missing: readonly RecentBatch[] | undefined = [];
    await reserved.transaction(
      async (query) => {
        const known = await fence.count(query, { number, sessions });
        if (known < recent.last) missing = recent.after(known);
        // The database may also lack changes that no batch number shows.
        if (known < recent.last || own === undefined) await fence.reclaim?.(query, missing);
        const others = missing?.flatMap(({ statements }) => statements) ?? [];
        const all = known < number ? [...others, ...(own ?? [])] : others;
        const made = all.map((statement) => query(statement.text, parametersOf(statement)));
        await Promise.all([
          ...made,
          known < number && own !== undefined ? fence.confirm?.(query, { sessions }) : undefined,
        ]);
      },
      { durable },
    );
    if (missing === undefined) this.#fencing.onMissing?.({ batches: 0, lost: true });
    else if (missing.length > 0) this.#fencing.onMissing?.({ batches: missing.length, lost: false });
  }

  #opened(): OpenJournal {
    if (this.#open !== undefined) return this.#open;
    throw notOpen(subjectOf("journal", this.#where));
  }

  /** A batch that an earlier attempt may have applied stays uncertain until an attempt succeeds. */
  #withDoubt(error: unknown, number: number): unknown {
    if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE")) return error;
    const { reason, applied } = error.details;
    if (applied === undefined) this.#uncertain = number;
    if (applied === undefined || this.#uncertain !== number) return error;
    return new CastellanError("JOURNAL_UNAVAILABLE", error.message, { details: { reason }, cause: error.cause });
  }
}

/** The last batch that the database knows. */
interface MarkRow {
  readonly number: number;
}

/** A row with its number, as text: it may exceed JavaScript's integers. */
interface Numbered {
  readonly number: string;
}

const DIMENSIONS: readonly UsageDimension[] = ["supervisor", "session", "model", "day"];

/* Both skip rows that another transaction has locked, so neither waits. */

const PRUNE_TURNS = `
  with ended as (
    select id, ended_at, row_number() over (partition by session order by ended_at desc, seq desc) as recency
    from turns where ended_at is not null
  ), old as (
    select id from turns
    where id in (select id from ended where ended_at < $1 or recency > $2::double precision) for update skip locked
  ), dropped as (
    delete from turns using old where turns.id = old.id returning turns.id
  ), released as (
    delete from turn_contents using dropped where turn_contents.turn = dropped.id returning hash
  )
  select count(*)::integer as count, array(select distinct hash from released) as hashes from dropped`;

interface PrunedTurns {
  readonly count: number;
  /** The contents to which the turns referred. */
  readonly hashes: readonly string[];
}

/* Separate statements, so that the second sees what others have committed before the lock. */
const LOCK_RELEASED = "select from contents where hash = any($1) order by hash for update";
const DELETE_RELEASED = `
  delete from contents where hash = any($1)
    and not exists (select from event_contents as other where other.hash = contents.hash)
    and not exists (select from turn_contents as other where other.hash = contents.hash)`;

const PRUNE_APPROVALS = `
  with old as (select id from approvals where settled_at < $1 for update skip locked)
  delete from approvals using old where approvals.id = old.id`;
