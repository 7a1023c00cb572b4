import type { Clock } from "../clock.ts";
import type { CastellanError } from "../errors.ts";
import type { HeldJournal } from "../journal/held-journal.ts";
import type { Journal } from "../journal/journal.ts";
import { readFault } from "../journal/journal-errors.ts";
import type { JournalWriter } from "../journal/journal-writer.ts";
import type { SessionEntry } from "../journal/session-entry.ts";
import type { TurnEntry } from "../journal/turn-entry.ts";
import type { UsageEntry, UsageQuery } from "../journal/usage-entry.ts";
import { type Budget, BudgetMeter, type BudgetStatus } from "./budget.ts";

/** What the journal knows of a session. */
export interface KnownSession {
  readonly entry?: SessionEntry | undefined;
  /** Its turns that have not ended, in order, the running one first. */
  readonly turns: readonly TurnEntry[];
}

/** How many sessions are asked for at a time. */
const MOST_KEYS = 500;

/** Where the sessions of one supervisor write, and what they spend together. */
export class JournalDesk {
  /** The name of the supervisor at the root of the tree. */
  readonly supervisor: string;
  readonly meter: BudgetMeter;
  readonly #budget: Budget | undefined;
  #held: HeldJournal | undefined;

  constructor(supervisor: string, budget: Budget | undefined, clock: Clock) {
    this.supervisor = supervisor;
    this.meter = new BudgetMeter(clock);
    this.#budget = budget;
  }

  /** The journal is there from now on. @throws CastellanError `JOURNAL_UNAVAILABLE` if it cannot be read */
  async open(held: HeldJournal): Promise<void> {
    this.#held = held;
    if (this.#budget === undefined) return;
    this.meter.load(await held.journal.usage({ supervisor: this.supervisor, by: ["day"] }));
  }

  /**
   * What is known of sessions, by their keys, after all that has been written so far.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async read(keys: readonly string[]): Promise<Map<string, KnownSession>> {
    await this.writer?.settled();
    const known = new Map<string, KnownSession>();
    for (let from = 0; from < keys.length; from += MOST_KEYS) {
      const some = keys.slice(from, from + MOST_KEYS);
      const [entries, turns] = await Promise.all([
        this.journal.sessions(some),
        this.journal.unfinishedTurns(some),
      ]).catch((thrown: unknown) => {
        throw readFault(thrown, this.journal.place);
      });
      const turnsOf = Map.groupBy(turns, ({ session }) => session);
      const entryOf = new Map(entries.map((entry) => [entry.key, entry]));
      for (const key of some) known.set(key, { entry: entryOf.get(key), turns: turnsOf.get(key) ?? [] });
    }
    return known;
  }

  /** The keys of sessions that begin so and have turns that have not ended. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async unfinished(keyPrefix: string): Promise<string[]> {
    await this.writer?.settled();
    return await this.journal.unfinishedBeginning(keyPrefix);
  }

  /** What was spent, with all that has been written so far. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: UsageQuery): Promise<UsageEntry[]> {
    await this.writer?.settled();
    return await this.journal.usage(query);
  }

  /** Gives the journal back, if there is one. */
  async close(): Promise<void> {
    await this.#held?.release();
  }

  get journal(): Journal {
    if (this.#held === undefined) throw new Error("the journal is read before it is open");
    return this.#held.journal;
  }

  get writer(): JournalWriter | undefined {
    return this.#held?.writer;
  }

  /** How much of their budget the sessions have spent, if they have one. */
  get budget(): BudgetStatus | undefined {
    return this.#budget === undefined ? undefined : this.meter.status(this.#budget);
  }

  /** Where the journal is, for messages; `undefined` until it is open. */
  get place(): string | undefined {
    return this.#held?.journal.place;
  }

  /** Whether another application may go on with what is written, see `Journal.shared`. */
  get isShared(): boolean {
    return this.#held?.journal.shared === true;
  }

  /** Why the sessions may spend no more, if that is so. */
  get refusal(): CastellanError | undefined {
    return this.meter.refusal(this.#budget, "supervisor", `supervisor "${this.supervisor}"`);
  }

  /** Why nothing can be written, if that is so. */
  get fault(): CastellanError | undefined {
    return this.#held?.writer.fault;
  }
}
