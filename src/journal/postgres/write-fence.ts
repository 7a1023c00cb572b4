import type { Clock } from "../../clock.ts";
import type { CastellanError } from "../../errors.ts";
import type { Batch } from "../model/change.ts";
import type { JournalOwner } from "../model/journal.ts";
import type { PostgresDatabase, Query, Statement } from "./postgres-database.ts";
import type { PostgresTables } from "./postgres-schema.ts";
import type { RecentBatch, RecentBatches } from "./recent-batches.ts";

/** That a journal in PostgreSQL may be written by whoever has opened it, and what makes sure of it. */
export interface WriteFence {
  /** Resolves, to `NOT_OWNER`, when it turns out that the journal may be written no longer. */
  readonly lost: Promise<CastellanError>;
  /** Tells the `number` of the last batch that the database knows, in one row; no row if it knows nothing of this hold. */
  readonly mark: Statement;
  /**
   * To be called at the beginning of a transaction: counts a batch as the last one, and makes sure, unless `confirm` does, that it may
   * be written until the transaction commits.
   *
   * @returns the number of the last batch before that, by the database: not below `number` if the batch is written already
   * @throws CastellanError `NOT_OWNER`
   */
  count(query: Query, batch: Pick<Batch, "number" | "sessions">): Promise<number>;
  /**
   * To be called when the database has another history than it had, and lacks batches: sees to it that they may be written once more.
   *
   * @param missing the batches; `undefined` if they are not known any more
   * @throws CastellanError `NOT_OWNER` if they may not, or if nothing can be written without them
   */
  reclaim?(query: Query, missing: readonly RecentBatch[] | undefined): Promise<void>;
  /** Under which epochs the journal is written that several machines write. */
  epochsOf?(sessions: readonly string[]): ReadonlyMap<string, number>;
  /**
   * To be called when all changes have been sent: makes sure that the batch may be written until the transaction commits. What
   * it locks others wait for, so that it is not locked while changes are on their way.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  confirm?(query: Query, batch: Pick<Batch, "sessions">): Promise<void>;
  /** Gives the journal back, if the server can be told. */
  release(): Promise<void>;
  /** Gives nothing back, and does nothing any more. */
  stop(): void;
}

/** How a journal in PostgreSQL comes to be held. */
export interface JournalFencing {
  /** What it needs besides the tables of the journal. */
  readonly tables: readonly PostgresTables[];
  /**
   * @param database has one connection, on which nothing runs but what the hold and the batches need
   * @throws CastellanError `JOURNAL_IN_USE` if another application holds it; `JOURNAL_UNAVAILABLE`
   */
  take(database: PostgresDatabase, owner: JournalOwner): Promise<WriteFence>;
  /** Where the batches are kept that were written last. Default: nowhere but in the journal, for as long as it is open. */
  recent?(clock: Clock): RecentBatches;
  /** Told, as soon as the journal is open, why the database may lose what it has confirmed. */
  doubt?(problem: string): void;
  /** Told when the database lacked batches. `lost`: they are not known any more, and it lacks them still. */
  onMissing?(missing: { readonly batches: number; readonly lost: boolean }): void;
}
