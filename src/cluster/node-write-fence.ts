import { CastellanError } from "../errors.ts";
import type { Batch } from "../journal/model/change.ts";
import { toText } from "../journal/model/stored-text.ts";
import {
  type PostgresDatabase,
  type Query,
  requirement,
  type Statement,
} from "../journal/postgres/postgres-database.ts";
import type { RecentBatch } from "../journal/postgres/recent-batches.ts";
import type { FenceConditions, WriteFence } from "../journal/postgres/write-fence.ts";
import { type Epochs, epochCondition, fenceEpochs, type OwningRun, restoreClaims } from "./epoch-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";

/**
 * Lets one run of a node write the sessions that it owns. Other nodes write theirs to the same journal at the same
 * time.
 */
export class NodeWriteFence implements WriteFence {
  readonly #label: string;
  readonly #run: OwningRun;
  readonly #owned: OwnedEpochs;
  /** Counts the openings of the journal: writes sent before the last opening are rejected. */
  readonly #term: string;
  readonly #lost: PromiseWithResolvers<CastellanError> = Promise.withResolvers();
  #error: CastellanError | undefined;

  private constructor(label: string, run: OwningRun, owned: OwnedEpochs, term: string) {
    this.#label = label;
    this.#run = run;
    this.#owned = owned;
    this.#term = term;
  }

  /** @throws CastellanError `JOURNAL_UNAVAILABLE` */
  static async take(database: PostgresDatabase, run: OwningRun, owned: OwnedEpochs): Promise<NodeWriteFence> {
    const [batches] = await database.transaction((query) => query<{ term: string }>(BEGIN_TERM, [toText(run.boot)]));
    return new NodeWriteFence(database.subject.label, run, owned, batches?.term ?? "");
  }

  get lost(): Promise<CastellanError> {
    return this.#lost.promise;
  }

  /** Tells the fence that the node owns nothing any more. */
  lose(error: CastellanError): void {
    this.#error ??= error;
    this.#lost.resolve(this.#error);
  }

  get mark(): Statement {
    return { text: MARK, values: this.#batches };
  }

  conditions({ number, sessions = [] }: Pick<Batch, "number" | "sessions">, last: number): FenceConditions | undefined {
    const epochs = this.#ownedAmong(sessions);
    const after = epochCondition(this.#run, epochs);
    if (this.#error !== undefined || after === undefined) return;
    return { before: { text: COUNT_NEXT, values: [...this.#batches, number, last] }, after };
  }

  /** A batch that was written before counts as written, whoever owns the sessions since. */
  async count(query: Query, { number }: Pick<Batch, "number">): Promise<number> {
    if (this.#error !== undefined) throw this.#error;
    const [before] = await query<BatchRow>(COUNT, [...this.#batches, number]);
    if (before !== undefined) return before.number;
    // The database has failed over to a replica that does not know this run yet.
    const [again] = await query(COUNT_AGAIN, [...this.#batches, number]);
    if (again === undefined) throw this.#lose(openedAgain(this.#label));
    return 0;
  }

  async reclaim(query: Query, missing: readonly RecentBatch[] | undefined): Promise<void> {
    if (missing === undefined) throw this.#lose(tooMuchMissing(this.#label));
    const { boot } = this.#run;
    const left = new Map<string, number>();
    for (const { epochs } of missing) for (const [key, epoch] of epochs) left.set(key, epoch);
    const owned = this.epochsOf(this.#owned.keys);
    for (const key of owned.keys()) left.delete(key);
    try {
      await restoreClaims(query, boot, left, false);
      await fenceEpochs(query, this.#run, owned);
    } catch (error) {
      throw this.#lose(error);
    }
  }

  epochsOf(sessions: readonly string[]): ReadonlyMap<string, number> {
    return new Map(
      sessions.flatMap((key) => {
        const epoch = this.#owned.epochOf(key);
        return epoch === undefined ? [] : [[key, epoch] as const];
      }),
    );
  }

  async confirm(query: Query, { sessions = [] }: Pick<Batch, "sessions">): Promise<void> {
    try {
      await fenceEpochs(query, this.#run, this.#ownedAmong(sessions));
    } catch (error) {
      throw this.#lose(error);
    }
  }

  #ownedAmong(sessions: readonly string[]): Epochs {
    const own = sessions.filter((key) => !this.#owned.isPool(key));
    return new Map(own.map((key) => [key, this.#owned.epochOf(key)]));
  }

  /** The engine ends ownership; the journal has nothing to release. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  stop(): void {}

  get #batches(): readonly [boot: string, term: string] {
    return [toText(this.#run.boot), this.#term];
  }

  #lose(error: unknown): unknown {
    if (CastellanError.is(error, "NOT_OWNER")) this.lose(error);
    return error;
  }
}

const BEGIN_TERM = `
  insert into batches (boot, term, number) values ($1, 1, 0)
  on conflict (boot) do update set term = batches.term + 1, number = 0
  returning term`;

const COUNT = `
  with before as (
    select number from batches where boot = $1 and term = $2 for update
  ), counted as (
    update batches set number = greatest(batches.number, $3) from before where boot = $1
  )
  select number::double precision from before`;

/** As `COUNT`, but fails unless the last batch is one from `$4` to before `$3`. */
const COUNT_NEXT = `
  with before as (
    select from batches where boot = $1 and term = $2 and number < $3 and number >= $4 for update
  ), counted as (
    update batches set number = $3 from before where boot = $1
  )
  select ${requirement("count(*) = 1")} from before`;

const COUNT_AGAIN = `
  insert into batches (boot, term, number) values ($1, $2, $3)
  on conflict (boot) do update set term = excluded.term, number = excluded.number where batches.term < excluded.term
  returning true`;

const MARK = "select number::double precision from batches where boot = $1 and term = $2";

interface BatchRow {
  readonly number: number;
}

function openedAgain(label: string): CastellanError<"NOT_OWNER"> {
  return new CastellanError("NOT_OWNER", `${label} has been opened again for this node, or the node ended long ago.`);
}

function tooMuchMissing(label: string): CastellanError<"NOT_OWNER"> {
  const message = `${label} failed over to a replica, or was restored from a backup, and lacks more commits than this node can write again. Its sessions continue from what is there.`;
  return new CastellanError("NOT_OWNER", message);
}
