import type { Clock, Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { Batch } from "../model/change.ts";
import type { JournalOwner } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { fromText, toText } from "../model/stored-text.ts";
import { type PostgresDatabase, type Query, requirement, type Statement } from "./postgres-database.ts";
import type { FenceConditions, WriteFence } from "./write-fence.ts";

const BEAT_MS = 1_000;

/**
 * The ownership of a journal by one application: a row with a heartbeat. Once the heartbeat is five seconds old, by the
 * database's clock, another application may take over; later writes of the former owner are rejected.
 */
export class PostgresOwnership implements WriteFence {
  readonly #database: PostgresDatabase;
  readonly #clock: Clock;
  readonly #owner: JournalOwner;
  readonly #id: string;
  /** Counts the takeovers: writes sent before the last takeover are rejected, even the owner's own. */
  readonly #term: string;
  #timer: Timer | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  readonly #lost: PromiseWithResolvers<CastellanError> = Promise.withResolvers();
  #ended = false;

  private constructor(database: PostgresDatabase, clock: Clock, owner: JournalOwner, term: string) {
    this.#database = database;
    this.#clock = clock;
    this.#owner = owner;
    this.#id = toText(owner.id);
    this.#term = term;
    this.#scheduleBeat();
  }

  /**
   * Makes `owner` the owner of the journal.
   *
   * @param location the journal's, for messages
   * @throws CastellanError `JOURNAL_IN_USE` if another application owns it; `JOURNAL_UNAVAILABLE`
   */
  static async take(
    database: PostgresDatabase,
    location: string,
    owner: JournalOwner,
    clock: Clock,
  ): Promise<PostgresOwnership> {
    const term = await database.transaction(async (query) => {
      for (;;) {
        const [taken] = await query<{ term: string }>(TAKE, takerValues(owner));
        if (taken !== undefined) return taken.term;
        const [holder] = await query<HolderRow>(HOLDER);
        // If the owner has released it since, the next attempt succeeds.
        if (holder !== undefined && holder.id !== null) throw inUse(location, ownerOf(holder, holder.id));
      }
    });
    return new PostgresOwnership(database, clock, owner, term);
  }

  /** Resolves when the journal turns out to have another owner. */
  get lost(): Promise<CastellanError> {
    return this.#lost.promise;
  }

  get mark(): Statement {
    return { text: MARK, values: [this.#id, this.#term] };
  }

  conditions({ number }: Pick<Batch, "number">, last: number): FenceConditions {
    return { before: { text: COUNT_NEXT, values: [this.#id, this.#term, number, last] } };
  }

  async count(query: Query, { number }: Pick<Batch, "number">): Promise<number> {
    const values = [this.#id, this.#term];
    const [before] = await query<BatchRow>(FENCE, [...values, number]);
    if (before !== undefined) return before.number;
    // The database failed over to a replica that does not know this takeover yet.
    const [again] = await query(TAKE_AGAIN, [...takerValues(this.#owner), this.#term, number]);
    if (again !== undefined) return 0;
    const [holder] = await query<HolderRow>(HOLDER);
    throw this.#lose(holder);
  }

  /** Releases the journal. If the server does not answer, the ownership expires after five seconds. */
  async release(): Promise<void> {
    this.stop();
    await this.#refreshing;
    await this.#database.transaction((query) => query(RELEASE, [this.#id, this.#term])).catch(() => {});
  }

  /** Stops the heartbeat, so that the ownership expires. */
  stop(): void {
    this.#ended = true;
    this.#timer?.cancel();
  }

  #scheduleBeat(): void {
    const beat = (): void => {
      this.#refreshing = this.#refresh();
    };
    this.#timer = this.#clock.schedule(BEAT_MS, beat, { background: true });
  }

  async #refresh(): Promise<void> {
    const refresh = async (query: Query): Promise<void> => {
      const [still] = await query(REFRESH, [this.#id, this.#term]);
      if (still !== undefined) return;
      const [again] = await query(TAKE_AGAIN, [...takerValues(this.#owner), this.#term, 0]);
      if (again !== undefined) return;
      const [holder] = await query<HolderRow>(HOLDER);
      if (!this.#ended) this.#lose(holder);
    };
    // The next write reports a failure.
    await this.#database.transaction(refresh, { durable: false }).catch(() => {});
    if (!this.#ended) this.#scheduleBeat();
  }

  #lose(holder: HolderRow | undefined): CastellanError {
    this.stop();
    const error = notOwner(this.#database.subject.label, holder);
    this.#lost.resolve(error);
    return error;
  }
}

const TAKE = `
  insert into owner (term, id, pid, host, started_at, heartbeat, batch)
    values (1, $1, $2, $3, $4, clock_timestamp(), 0)
  on conflict (only_one) do update set term = owner.term + 1, id = excluded.id, pid = excluded.pid,
    host = excluded.host, started_at = excluded.started_at, heartbeat = clock_timestamp(), batch = 0
  where owner.id is null or owner.id = excluded.id or owner.heartbeat < clock_timestamp() - interval '5 seconds'
  returning term`;

/** Applies only if the database does not know this term yet: then nobody else has written under it. */
const TAKE_AGAIN = `
  insert into owner (term, id, pid, host, started_at, heartbeat, batch)
    values ($5, $1, $2, $3, $4, clock_timestamp(), $6)
  on conflict (only_one) do update set term = excluded.term, id = excluded.id, pid = excluded.pid,
    host = excluded.host, started_at = excluded.started_at, heartbeat = excluded.heartbeat, batch = excluded.batch
  where owner.term < excluded.term
  returning term`;

const HOLDER = "select id, term, pid, host, started_at from owner";

const FENCE = `
  with before as (
    select batch from owner where id = $1 and term = $2 for update
  ), counted as (
    update owner set batch = greatest(owner.batch, $3), heartbeat = clock_timestamp() from before
  )
  select batch::double precision as number from before`;

/** As `FENCE`, but fails unless the last batch is one from `$4` to before `$3`. */
const COUNT_NEXT = `
  with before as (
    select from owner where id = $1 and term = $2 and batch < $3 and batch >= $4 for update
  ), counted as (
    update owner set batch = $3, heartbeat = clock_timestamp() from before
  )
  select ${requirement("count(*) = 1")} from before`;

const MARK = "select batch::double precision as number from owner where id = $1 and term = $2";

const REFRESH = "update owner set heartbeat = clock_timestamp() where id = $1 and term = $2 returning true";

const RELEASE = "update owner set id = null where id = $1 and term = $2";

interface BatchRow {
  readonly number: number;
}

interface HolderRow {
  readonly id: string | null;
  readonly term: string;
  readonly pid: number;
  readonly host: string;
  readonly started_at: number;
}

function takerValues({ id, pid, host, startedAt }: JournalOwner): unknown[] {
  return [toText(id), pid, toText(host), startedAt];
}

function ownerOf({ pid, host, started_at }: HolderRow, id: string): JournalOwner {
  return { id: fromText(id), pid, host: fromText(host), startedAt: started_at };
}

function notOwner(label: string, holder: HolderRow | undefined): CastellanError<"NOT_OWNER"> {
  const now =
    holder === undefined || holder.id === null
      ? "it has no owner now"
      : `process ${holder.pid} on ${fromText(holder.host)} owns it now`;
  const message = `${label} no longer belongs to this application, whose heartbeat was missing for five seconds; ${now}. Restart the application.`;
  return new CastellanError("NOT_OWNER", message);
}
