import type { Clock, Timer } from "../../clock.ts";
import { CastellanError } from "../../errors.ts";
import type { Batch } from "../model/change.ts";
import type { JournalOwner } from "../model/journal.ts";
import { inUse } from "../model/journal-errors.ts";
import { fromText, toText } from "../model/stored-text.ts";
import type { PostgresDatabase, Query, Statement } from "./postgres-database.ts";
import type { WriteFence } from "./write-fence.ts";

const BEAT_MS = 1_000;

/**
 * The hold of one application on a journal: a row that has to be refreshed. Whoever finds it not refreshed for five seconds,
 * by the clock of the database, may take it over; what the former owner writes after that is refused.
 */
export class PostgresOwnership implements WriteFence {
  readonly #database: PostgresDatabase;
  readonly #clock: Clock;
  readonly #owner: JournalOwner;
  readonly #id: string;
  /** Counts how often the journal was taken, so that what its owner sent before taking it again is refused too. */
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
   * @param place of the journal, for messages
   * @throws CastellanError `JOURNAL_IN_USE` if another application holds it; `JOURNAL_UNAVAILABLE`
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
        // One that was given back since then can be taken.
        if (holder !== undefined && holder.id !== null) throw inUse(location, ownerOf(holder, holder.id));
      }
    });
    return new PostgresOwnership(database, clock, owner, term);
  }

  /** Resolves when it turns out that the journal has another owner. */
  get lost(): Promise<CastellanError> {
    return this.#lost.promise;
  }

  get mark(): Statement {
    return { text: MARK, values: [this.#id, this.#term] };
  }

  async count(query: Query, { number }: Pick<Batch, "number">): Promise<number> {
    const values = [this.#id, this.#term];
    const [before] = await query<BatchRow>(FENCE, [...values, number]);
    if (before !== undefined) return before.number;
    // A replica that has not heard yet that it was taken.
    const [again] = await query(TAKE_AGAIN, [...takerValues(this.#owner), this.#term, number]);
    if (again !== undefined) return 0;
    const [holder] = await query<HolderRow>(HOLDER);
    throw this.#lose(holder);
  }

  /** Gives the journal back. If the server cannot be told, it is free after five seconds. */
  async release(): Promise<void> {
    this.stop();
    await this.#refreshing;
    await this.#database.transaction((query) => query(RELEASE, [this.#id, this.#term])).catch(() => {});
  }

  /** Lets the hold expire. */
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
    // If the server does not answer, whoever writes next hears of it.
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

/** What has been written under a term that the database does not know yet was written by nobody else. */
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
      ? "nobody holds it now"
      : `process ${holder.pid} on ${fromText(holder.host)} holds it now`;
  const message = `${label} no longer belongs to this application, which could not be heard of for five seconds; ${now}. Start the application again.`;
  return new CastellanError("NOT_OWNER", message);
}
