import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import { publish } from "../events.ts";
import { toText } from "../journal/model/stored-text.ts";
import { LazyDatabase } from "../journal/postgres/lazy-database.ts";
import { parametersOf } from "../journal/postgres/postgres-changes.ts";
import type { PostgresDatabase } from "../journal/postgres/postgres-database.ts";
import { JOURNAL_TABLES } from "../journal/postgres/postgres-journal-tables.ts";
import type { PostgresLocation } from "../journal/postgres/postgres-location.ts";
import { type RecentBatch, RecentBatches } from "../journal/postgres/recent-batches.ts";
import { restoreClaims } from "./epoch-fence.ts";
import { CLUSTER_TABLES } from "./postgres/cluster-tables.ts";
import { BEGIN_ERA, detectNewHistory, END_WAIT, MAY_CLAIM } from "./postgres/history-statements.ts";

/** Maximum number of runs to remember. */
const MOST_RUNS = 3;

const STATEMENT_MS = 10_000;

/**
 * Keeps the last writes of this node's runs that the database has confirmed, to write them again after a failover. It
 * outlives the runs: the node loses its run during the failover, and replays its writes before any node continues the
 * sessions.
 */
export class ReplayBuffer {
  readonly #location: PostgresLocation;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  /** Oldest run first. */
  readonly #runs = new Map<string, RecentBatches>();
  readonly #doubts = new Set<string>();

  constructor(location: PostgresLocation, clock: Clock, warn: (message: string) => void) {
    this.#location = location;
    this.#clock = clock;
    this.#warn = warn;
  }

  /** Returns the buffer for a run's batches. */
  batchesOf(boot: string): RecentBatches {
    const recent = new RecentBatches(this.#clock);
    this.#runs.set(boot, recent);
    const [oldest] = this.#runs.keys();
    if (this.#runs.size > MOST_RUNS && oldest !== undefined) this.#runs.delete(oldest);
    return recent;
  }

  /** Warns that the database may lose confirmed commits, once per problem. */
  doubt(problem: string): void {
    if (this.#doubts.has(problem)) return;
    this.#doubts.add(problem);
    this.#warn(`The cluster ${this.#location.label} may lose confirmed commits: ${problem}.`);
  }

  /** Warns that the database lacked batches. */
  reportMissing({ batches, lost }: { readonly batches: number; readonly lost: boolean }): void {
    this.#warn(`${this.#subject} ${lost ? LOST : `lacked ${batches} batches of the journal, ${AGAIN}`}`);
    publish("castellan:database:gap", () => ({
      location: this.#location.label,
      content: "journal",
      count: batches,
      lost,
    }));
  }

  /**
   * Writes again what the database lacks of the writes of ended runs.
   *
   * @param but the active run, which is left out
   * @throws CastellanError `DATABASE_UNAVAILABLE`
   */
  async restore(but?: string): Promise<void> {
    const runs = [...this.#runs].filter(([boot]) => boot !== but);
    if (runs.length === 0) return;
    const terms = { timeoutMs: STATEMENT_MS, connections: 1 };
    const opened = new LazyDatabase(this.#location, "cluster", terms, [JOURNAL_TABLES, CLUSTER_TABLES]);
    try {
      const { database, history } = await opened.useWithHistory();
      for (const [boot, recent] of runs) await this.#restoreRun(database, history, boot, recent);
      const over = runs.map(([boot]) => toText(boot));
      await database.transaction((query) => Promise.all([query(END, [over]), query(END_WAIT)]));
    } finally {
      await opened.close();
    }
  }

  async #restoreRun(database: PostgresDatabase, history: string, boot: string, recent: RecentBatches): Promise<void> {
    const known = await database.transaction(async (query) => {
      await query(detectNewHistory(history));
      const [[row], [era]] = await Promise.all([
        query<{ readonly number: number }>(NUMBER, [toText(boot)]),
        query<{ readonly era: string; readonly open: boolean }>(`select era, ${MAY_CLAIM} as open from history`),
      ]);
      const number = row?.number ?? 0;
      // A new era keeps nodes from continuing the sessions before the replay.
      if (number < recent.last && era?.open === true) await query(BEGIN_ERA, [era.era]);
      return number;
    });
    if (known >= recent.last) return;
    const missing = recent.after(known);
    if (missing === undefined) return this.reportMissing({ batches: 0, lost: true });
    if (missing.length === 0) return;
    let refused = 0;
    for (const batch of missing) {
      try {
        await database.transaction((query) => this.#writeAgain(query, boot, batch));
      } catch (error) {
        if (!CastellanError.is(error, "NOT_OWNER")) throw error;
        refused += 1;
      }
    }
    if (refused > 0) this.reportMissing({ batches: refused, lost: true });
    if (missing.length > refused) this.reportMissing({ batches: missing.length - refused, lost: false });
  }

  async #writeAgain(
    query: Parameters<Parameters<PostgresDatabase["transaction"]>[0]>[0],
    boot: string,
    { number, epochs, statements }: RecentBatch,
  ): Promise<void> {
    await restoreClaims(query, boot, epochs, false);
    const [fresh] = await query(COUNT, [toText(boot), number]);
    if (fresh === undefined) return;
    await Promise.all(statements.map((statement) => query(statement.text, parametersOf(statement))));
  }

  get #subject(): string {
    return `The cluster ${this.#location.label} failed over to a replica, or was restored from a backup, and`;
  }
}

const AGAIN =
  "which this node wrote again. Have each commit wait for a synchronous standby to prevent this; see `castellan doctor`.";
const LOST =
  "lacks commits that this node no longer has, or that other nodes have continued without: turns, replies and costs are lost. Have each commit wait for a synchronous standby to prevent this; see `castellan doctor`.";

const NUMBER = "select number::double precision from batches where boot = $1";

const END = "update nodes set ended_at = clock_timestamp() where boot = any($1) and ended_at is null";

const COUNT = `
  insert into batches (boot, term, number) values ($1, 1, $2)
  on conflict (boot) do update set number = excluded.number where batches.number < excluded.number
  returning true`;
