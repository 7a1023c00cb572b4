import type { Clock } from "../../clock.ts";
import { RecentWrites } from "../model/recent-writes.ts";
import type { ChangeStatement } from "./postgres-changes.ts";

/** A batch that the database has confirmed. */
export interface RecentBatch {
  readonly number: number;
  readonly durable: boolean;
  readonly statements: readonly ChangeStatement[];
  /** For a journal that several machines write: the sessions of the changes, and their epochs. */
  readonly epochs: ReadonlyMap<string, number>;
}

/**
 * The last confirmed batches since a journal was opened. If the database names an earlier batch as the last one, it
 * failed over to a replica or was restored, and lacks the later ones.
 */
export class RecentBatches {
  readonly #batches: RecentWrites<RecentBatch>;
  #last = 0;
  #lastDurable = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#batches = new RecentWrites(clock);
  }

  /** Number of the last batch; 0 if there is none. */
  get last(): number {
    return this.#last;
  }

  add(batch: RecentBatch): void {
    this.#last = batch.number;
    if (batch.durable) this.#lastDurable = batch.number;
    const bytes = batch.statements.reduce((sum, { rows, data }) => sum + rows.length + (data?.byteLength ?? 0), 0);
    this.#batches.add(batch, bytes);
  }

  /** Returns the batches after this number; undefined if a batch that is needed is no longer in memory. */
  after(number: number): readonly RecentBatch[] | undefined {
    const missing = [...this.#batches].filter((batch) => batch.number > number);
    const first = missing[0]?.number ?? this.#last + 1;
    return first > number + 1 && number < this.#lastDurable ? undefined : missing;
  }
}
