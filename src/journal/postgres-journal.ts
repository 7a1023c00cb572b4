import { type Clock, systemClock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { ApprovalEntry } from "./approval-entry.ts";
import type { Batch, Change } from "./change.ts";
import { changeGroups } from "./change-groups.ts";
import type { Journal, JournalOwner, Retention } from "./journal.ts";
import { CHANGE_STATEMENTS } from "./postgres-change-statements.ts";
import { changeRows } from "./postgres-changes.ts";
import { PostgresDatabase } from "./postgres-database.ts";
import { notOpen, unavailable, wordsOf } from "./postgres-fault.ts";
import { JOURNAL_TABLES } from "./postgres-journal-tables.ts";
import { PostgresOwnership } from "./postgres-ownership.ts";
import { type PostgresOptions, type PostgresPlace, postgresPlace } from "./postgres-place.ts";
import {
  APPROVAL_COLUMNS,
  type ApprovalRow,
  approvalOf,
  SESSION_COLUMNS,
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
import type { SessionEntry } from "./session-entry.ts";
import { toText } from "./stored-text.ts";
import type { TurnEntry } from "./turn-entry.ts";
import type { UsageDimension, UsageEntry, UsageQuery } from "./usage-entry.ts";

export interface PostgresJournalOptions extends PostgresOptions {
  /** Default: the machine's own. */
  readonly clock?: Clock;
}

/**
 * A journal in a PostgreSQL database, in a schema of its own. Needs the package `pg`. It may be reached through a pooler.
 *
 * An application that has not been heard of for five seconds loses it to one that wants it.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function postgresJournal({ clock = systemClock, ...options }: PostgresJournalOptions): Journal {
  return new PostgresJournal(postgresPlace(options), clock);
}

/** How long a statement may take. */
const STATEMENT_MS = 10_000;

/** How long a server is waited for when the journal is given back. */
const CLOSE_MS = 3_000;

interface OpenJournal {
  readonly database: PostgresDatabase;
  readonly ownership: PostgresOwnership;
}

class PostgresJournal implements Journal {
  readonly place: string;
  readonly #where: PostgresPlace;
  readonly #clock: Clock;
  #open: OpenJournal | undefined;
  /** The number of a batch that may have been written, although nobody said so. */
  #uncertain: number | undefined;

  constructor(where: PostgresPlace, clock: Clock) {
    this.#where = where;
    this.#clock = clock;
    this.place = where.label;
  }

  async open(owner: JournalOwner): Promise<void> {
    const before = this.#open;
    const database = before?.database ?? (await PostgresDatabase.load(this.#where, "journal", STATEMENT_MS));
    try {
      await prepare(database, JOURNAL_TABLES);
      const ownership = await PostgresOwnership.take(database, this.place, owner, this.#clock);
      before?.ownership.stop();
      this.#open = { database, ownership };
      this.#uncertain = undefined;
    } catch (error) {
      if (before === undefined) await database.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#open === undefined) return;
    const { database, ownership } = this.#open;
    this.#open = undefined;
    const late = this.#clock.schedule(CLOSE_MS, () => database.abandon());
    await ownership.release();
    await database.close();
    late.cancel();
  }

  async write({ number, changes, durable }: Batch): Promise<void> {
    const { database, ownership } = this.#opened();
    try {
      const statements = statementsOf(changes, database.label);
      await database.transaction(
        async (query) => {
          if (!(await ownership.fence(query, number))) return;
          await Promise.all(statements.map(({ text, rows }) => query(text, [rows])));
        },
        { durable },
      );
    } catch (error) {
      throw this.#withDoubt(error, number);
    }
    this.#uncertain = undefined;
  }

  async session(key: string): Promise<SessionEntry | undefined> {
    const [row] = await this.#read<SessionRow>(`select ${SESSION_COLUMNS} from sessions where key = $1`, [toText(key)]);
    return row && sessionOf(row);
  }

  async sessions(keyPrefix: string): Promise<SessionEntry[]> {
    const text = `select ${SESSION_COLUMNS} from sessions where starts_with(key, $1) order by key`;
    return (await this.#read<SessionRow>(text, [toText(keyPrefix)])).map(sessionOf);
  }

  async turn(id: string): Promise<TurnEntry | undefined> {
    const [row] = await this.#read<TurnRow>(`select ${TURN_COLUMNS} from turns where id = $1`, [toText(id)]);
    return row && turnOf(row);
  }

  async unfinishedTurns(session: string): Promise<TurnEntry[]> {
    const text = `
      select ${TURN_COLUMNS} from turns where session = $1 and ended_at is null
      order by state = 'running' desc, position, seq`;
    return (await this.#read<TurnRow>(text, [toText(session)])).map(turnOf);
  }

  async approvals(session: string, limit: number): Promise<ApprovalEntry[]> {
    const text = `
      select ${APPROVAL_COLUMNS} from approvals where session = $1 order by requested_at desc, seq desc limit $2`;
    return (await this.#read<ApprovalRow>(text, [toText(session), limit])).map(approvalOf);
  }

  async usage({ supervisor, session, since, until, by }: UsageQuery): Promise<UsageEntry[]> {
    const columns = DIMENSIONS.filter((dimension) => by.includes(dimension));
    const text = `
      select ${[...columns, SPENT_SUMS].join(", ")} from spent
      where ($1::text is null or supervisor = $1) and ($2::text is null or session = $2)
        and ($3::text is null or day >= $3) and ($4::text is null or day <= $4)
      group by ${columns.length === 0 ? "()" : columns.join(", ")} having count(*) > 0`;
    const values = [supervisor, session, since, until].map((value) => (value === undefined ? null : toText(value)));
    return (await this.#read<SpentRow>(text, values)).map((row) => usageOf(row, columns));
  }

  async prune({ endedSince, turnsPerSession }: Retention): Promise<number> {
    const { database } = this.#opened();
    return await database.transaction(async (query) => {
      const [[turns]] = await Promise.all([
        query<{ count: number }>(PRUNE_TURNS, [endedSince, turnsPerSession]),
        query("delete from approvals where settled_at < $1", [endedSince]),
      ]);
      return turns?.count ?? 0;
    });
  }

  async #read<Row extends object>(text: string, values: readonly unknown[]): Promise<Row[]> {
    return await this.#opened().database.read<Row>(text, values);
  }

  #opened(): OpenJournal {
    if (this.#open !== undefined) return this.#open;
    throw notOpen(`The journal ${this.place}`);
  }

  /** A batch that may have been written by an earlier try is in doubt until a try gets through, however the last one failed. */
  #withDoubt(error: unknown, number: number): unknown {
    if (!CastellanError.is(error, "JOURNAL_UNAVAILABLE")) return error;
    const { reason, applied } = error.details;
    if (applied === undefined) this.#uncertain = number;
    if (applied === undefined || this.#uncertain !== number) return error;
    return new CastellanError("JOURNAL_UNAVAILABLE", error.message, { details: { reason }, cause: error.cause });
  }
}

/** What makes the changes, in order. */
function statementsOf(changes: readonly Change[], label: string): { readonly text: string; readonly rows: string }[] {
  try {
    return changeGroups(changes).map((group) => ({
      text: CHANGE_STATEMENTS[group.type],
      rows: JSON.stringify(changeRows(group)),
    }));
  } catch (cause) {
    // JSON cannot say it: a circle, or a text longer than there can be.
    throw unavailable(label, "refused", wordsOf(cause), { applied: false, cause });
  }
}

const DIMENSIONS: readonly UsageDimension[] = ["supervisor", "session", "model", "day"];

const PRUNE_TURNS = `
  with ended as (
    select id, ended_at, row_number() over (partition by session order by ended_at desc, seq desc) as place
    from turns where ended_at is not null
  ), dropped as (
    delete from turns using ended where turns.id = ended.id and (ended.ended_at < $1 or ended.place > $2) returning 1
  )
  select count(*)::integer as count from dropped`;
