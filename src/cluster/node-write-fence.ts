import { CastellanError } from "../errors.ts";
import type { Batch } from "../journal/model/change.ts";
import { toText } from "../journal/model/stored-text.ts";
import type { PostgresDatabase, Query, Statement } from "../journal/postgres/postgres-database.ts";
import type { RecentBatch } from "../journal/postgres/recent-batches.ts";
import type { WriteFence } from "../journal/postgres/write-fence.ts";
import { fenceEpochs, type OwningRun, ownAgain } from "./epoch-fence.ts";
import type { OwnedEpochs } from "./owned-epochs.ts";

/**
 * The part of a journal that one run of a node may write: the sessions that it owns. Other nodes write theirs at the same time.
 */
export class NodeWriteFence implements WriteFence {
  readonly #label: string;
  readonly #run: OwningRun;
  readonly #owned: OwnedEpochs;
  /** Counts how often the journal was opened, so that what was sent before it was opened again is refused. */
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

  /** To be told that the node owns nothing any more. */
  lose(error: CastellanError): void {
    this.#error ??= error;
    this.#lost.resolve(this.#error);
  }

  get mark(): Statement {
    return { text: MARK, values: this.#batches };
  }

  /** A batch that was written before is written, whoever owns the sessions since. */
  async count(query: Query, { number }: Pick<Batch, "number">): Promise<number> {
    if (this.#error !== undefined) throw this.#error;
    const [before] = await query<BatchRow>(COUNT, [...this.#batches, number]);
    if (before !== undefined) return before.number;
    // A replica that has not heard yet of this run of the node.
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
      await ownAgain(query, boot, left, false);
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
    const epochs = new Map(sessions.map((key) => [key, this.#owned.epochOf(key)]));
    try {
      await fenceEpochs(query, this.#run, epochs);
    } catch (error) {
      throw this.#lose(error);
    }
  }

  /** Owners end by the engine; there is nothing to be given back here. */
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

const COUNT_AGAIN = `
  insert into batches (boot, term, number) values ($1, $2, $3)
  on conflict (boot) do update set term = excluded.term, number = excluded.number where batches.term < excluded.term
  returning true`;

const MARK = "select number::double precision from batches where boot = $1 and term = $2";

interface BatchRow {
  readonly number: number;
}

function openedAgain(label: string): CastellanError<"NOT_OWNER"> {
  return new CastellanError("NOT_OWNER", `${label} has been opened again for this node, or the node has long ended.`);
}

function tooMuchMissing(label: string): CastellanError<"NOT_OWNER"> {
  const message = `${label} has another history than it had: it has failed over to a replica, or was put back to a backup, that lacks more than this node can tell it once more. Its sessions go on from what is there.`;
  return new CastellanError("NOT_OWNER", message);
}
