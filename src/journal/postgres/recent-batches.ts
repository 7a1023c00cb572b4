import type { Clock } from "../../clock.ts";
import { RecentWrites } from "../model/recent-writes.ts";
import type { ChangeStatement } from "./postgres-changes.ts";

/** A batch that a database has confirmed, as it was written. */
export interface RecentBatch {
  readonly number: number;
  readonly durable: boolean;
  readonly statements: readonly ChangeStatement[];
  /** Of a journal that several machines write: the sessions whose changes it has, and under which epochs. */
  readonly epochs: ReadonlyMap<string, number>;
}

/**
 * The batches of one opening of a journal that its database has confirmed last. A database that says of an earlier batch that it is
 * the last one has another history than it had: it has failed over to a replica that lacks some, or was restored.
 */
export class RecentBatches {
  readonly #batches: RecentWrites<RecentBatch>;
  #last = 0;
  #lastDurable = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#batches = new RecentWrites(clock);
  }

  /** The number of the last batch; 0 if there is none. */
  get last(): number {
    return this.#last;
  }

  add(batch: RecentBatch): void {
    this.#last = batch.number;
    if (batch.durable) this.#lastDurable = batch.number;
    const bytes = batch.statements.reduce((sum, { rows }) => sum + rows.length, 0);
    this.#batches.add(batch, bytes);
  }

  /** The batches after this number; `undefined` if one of them is not known any more that must not be missing. */
  after(number: number): readonly RecentBatch[] | undefined {
    const missing = [...this.#batches].filter((batch) => batch.number > number);
    const first = missing[0]?.number ?? this.#last + 1;
    return first > number + 1 && number < this.#lastDurable ? undefined : missing;
  }
}
