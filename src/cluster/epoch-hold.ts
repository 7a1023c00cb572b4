import { CastellanError } from "../errors.ts";
import type { Batch } from "../journal/change.ts";
import type { PostgresDatabase, Query } from "../journal/postgres-database.ts";
import { unavailable } from "../journal/postgres-fault.ts";
import type { PostgresHold } from "../journal/postgres-hold.ts";
import { toText } from "../journal/stored-text.ts";
import { fenceEpochs } from "./epoch-fence.ts";
import type { Holdings } from "./holdings.ts";

/**
 * The part of a journal that one run of a node may write: the sessions that it owns. Other nodes write theirs at the same time.
 */
export class EpochHold implements PostgresHold {
  readonly #label: string;
  readonly #boot: string;
  readonly #holdings: Holdings;
  /** Counts how often the journal was opened, so that what was sent before it was opened again is refused. */
  readonly #term: string;
  readonly #lost: PromiseWithResolvers<CastellanError> = Promise.withResolvers();
  #error: CastellanError | undefined;

  private constructor(label: string, boot: string, holdings: Holdings, term: string) {
    this.#label = label;
    this.#boot = boot;
    this.#holdings = holdings;
    this.#term = term;
  }

  /** @throws CastellanError `JOURNAL_UNAVAILABLE` */
  static async take(database: PostgresDatabase, boot: string, holdings: Holdings): Promise<EpochHold> {
    const [batches] = await database.transaction((query) => query<{ term: string }>(BEGIN_TERM, [toText(boot)]));
    return new EpochHold(database.label, boot, holdings, batches?.term ?? "");
  }

  get lost(): Promise<CastellanError> {
    return this.#lost.promise;
  }

  /** To be told that the node owns nothing any more. */
  lose(error: CastellanError): void {
    this.#error ??= error;
    this.#lost.resolve(this.#error);
  }

  /** A batch that was written before is written, whoever owns the sessions since. */
  async fence(query: Query, { number, sessions = [] }: Batch): Promise<boolean> {
    if (this.#error !== undefined) throw this.#error;
    if (sessions.length === 0) {
      const what = "a batch does not say whose changes it has";
      throw unavailable(this.#label, "refused", what, { applied: false });
    }
    const values = [toText(this.#boot), this.#term];
    const [[fresh], [open]] = await Promise.all([query(COUNT, [...values, number]), query(TERM, values)]);
    if (open === undefined) throw this.#lose(openedAgain(this.#label));
    return fresh !== undefined;
  }

  async confirm(query: Query, { sessions = [] }: Batch): Promise<void> {
    const epochs = new Map(sessions.map((key) => [key, this.#holdings.epochOf(key)]));
    try {
      await fenceEpochs(query, this.#boot, epochs);
    } catch (error) {
      throw this.#lose(error);
    }
  }

  /** Owners end by the engine; there is nothing to be given back here. */
  release(): Promise<void> {
    return Promise.resolve();
  }

  stop(): void {}

  #lose(error: unknown): unknown {
    if (CastellanError.is(error, "NOT_OWNER")) this.lose(error);
    return error;
  }
}

const BEGIN_TERM = `
  insert into batches (boot, term, number) values ($1, 1, 0)
  on conflict (boot) do update set term = batches.term + 1, number = 0
  returning term`;

/** The last batch need not be the one before: those that need not be durable may be gone after a crash of the server. */
const COUNT = "update batches set number = $3 where boot = $1 and term = $2 and number < $3 returning true";

const TERM = "select from batches where boot = $1 and term = $2";

function openedAgain(label: string): CastellanError<"NOT_OWNER"> {
  return new CastellanError("NOT_OWNER", `${label} has been opened again for this node, or the node has long ended.`);
}
