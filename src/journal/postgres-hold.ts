import type { CastellanError } from "../errors.ts";
import type { Batch } from "./change.ts";
import type { JournalOwner } from "./journal.ts";
import type { PostgresDatabase, Query } from "./postgres-database.ts";
import type { PostgresTables } from "./postgres-schema.ts";

/** That a journal in PostgreSQL may be written by whoever has opened it, and what makes sure of it. */
export interface PostgresHold {
  /** Resolves, to `NOT_OWNER`, when it turns out that the journal may be written no longer. */
  readonly lost: Promise<CastellanError>;
  /**
   * To be called at the beginning of a transaction: makes sure that a batch is not written twice, and, unless `confirm` does,
   * that it may be written until the transaction commits. Tells whether it is to be written; if not, it has been.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  fence(query: Query, batch: Batch): Promise<boolean>;
  /**
   * To be called when all changes have been sent: makes sure that the batch may be written until the transaction commits. What
   * it locks others wait for, so that it is not locked while changes are on their way.
   *
   * @throws CastellanError `NOT_OWNER`
   */
  confirm?(query: Query, batch: Batch): Promise<void>;
  /** Gives the journal back, if the server can be told. */
  release(): Promise<void>;
  /** Gives nothing back, and does nothing any more. */
  stop(): void;
}

/** How a journal in PostgreSQL comes to be held. */
export interface PostgresHolding {
  /** What it needs besides the tables of the journal. */
  readonly tables: readonly PostgresTables[];
  /**
   * @param database has one connection, on which nothing runs but what the hold and the batches need
   * @throws CastellanError `JOURNAL_IN_USE` if another application holds it; `JOURNAL_UNAVAILABLE`
   */
  take(database: PostgresDatabase, owner: JournalOwner): Promise<PostgresHold>;
}
