import type { Clock } from "../../clock.ts";
import type { CastellanError } from "../../errors.ts";
import type { Batch } from "../model/change.ts";
import type { JournalOwner } from "../model/journal.ts";
import type { FormerTranscripts } from "../model/transcript-entry.ts";
import type { PostgresDatabase, Query, Statement } from "./postgres-database.ts";
import type { PostgresTables } from "./postgres-schema.ts";
import type { RecentBatch, RecentBatches } from "./recent-batches.ts";

/** Statements that fail if a batch may not be written, see `requirement`. */
export interface FenceConditions {
  /** Comes before the changes. Records the batch as the last one. */
  readonly before: Statement;
  /** Comes after the changes. */
  readonly after?: Statement;
}

/** Permission to write a journal in PostgreSQL, checked by the database in each transaction. */
export interface WriteFence {
  /** Resolves, to `NOT_OWNER`, when the permission turns out to be gone. */
  readonly lost: Promise<CastellanError>;
  /**
   * Selects the `number` of the last batch that the database knows, in one row; no row if it does not know this
   * opening.
   */
  readonly mark: Statement;
  /**
   * Returns what {@link count} and {@link confirm} do as conditions of a transaction that is sent at once, for the
   * usual case: the database knows all confirmed batches, this one is not written yet, and the permission to write is
   * there. If they are not met, `count` and `confirm` tell why.
   *
   * @param last the number of the last confirmed batch
   * @returns undefined if it is known that they would not be met
   */
  conditions(batch: Pick<Batch, "number" | "sessions">, last: number): FenceConditions | undefined;
  /**
   * Records a batch as the last one, at the beginning of its transaction. Unless `confirm` does, it also ensures that
   * the batch may be written until the transaction commits.
   *
   * @returns the number of the last batch before; at least `number` if the batch is already written
   * @throws CastellanError `NOT_OWNER`
   */
  count(query: Query, batch: Pick<Batch, "number" | "sessions">): Promise<number>;
  /**
   * Called when the database's history has changed and it lacks batches: ensures that they may be written again.
   *
   * @param missing the batches; undefined if some are no longer in memory
   * @throws CastellanError `NOT_OWNER` if they may not be written, or nothing may be written without them
   */
  reclaim?(query: Query, missing: readonly RecentBatch[] | undefined): Promise<void>;
  /** Returns the epochs of owned sessions, for a journal that several machines write. */
  epochsOf?(sessions: readonly string[]): ReadonlyMap<string, number>;
  /**
   * Called after all changes were sent: ensures that the batch may be written until the transaction commits. It comes
   * last, so that its locks last as briefly as possible.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  confirm?(query: Query, batch: Pick<Batch, "sessions">): Promise<void>;
  /** Releases the journal, if the server answers. */
  release(): Promise<void>;
  /** Stops without releasing the journal. */
  stop(): void;
}

/** How the writers of a journal in PostgreSQL are fenced. */
export interface JournalFencing {
  /** Tables besides those of the journal. */
  readonly tables: readonly PostgresTables[];
  /**
   * Takes the permission to write.
   *
   * @param database has one connection, for the fence and the batches alone
   * @throws CastellanError `JOURNAL_IN_USE` if another application owns the journal; `JOURNAL_UNAVAILABLE`
   */
  take(database: PostgresDatabase, owner: JournalOwner): Promise<WriteFence>;
  /** Where earlier releases kept the transcripts, if elsewhere. */
  readonly former?: FormerTranscripts;
  /** Returns the buffer for the last batches. Default: a new one for each opening. */
  recent?(clock: Clock): RecentBatches;
  /** Called after opening with why the database may lose confirmed commits. */
  doubt?(problem: string): void;
  /** Called when the database lacked batches. `lost`: this process no longer has them. */
  onMissing?(missing: { readonly batches: number; readonly lost: boolean }): void;
}
