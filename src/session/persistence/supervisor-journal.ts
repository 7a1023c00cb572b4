import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import type { CastellanError } from "../../errors.ts";
import type { Handover } from "../../journal/handover/handover.ts";
import type { Loans } from "../../journal/handover/loans.ts";
import type { JournalWriter } from "../../journal/journal-writer.ts";
import type { Change } from "../../journal/model/change.ts";
import type { ConversationEntry } from "../../journal/model/conversation-entry.ts";
import type { DeliveryEntry } from "../../journal/model/delivery-entry.ts";
import { Erasures } from "../../journal/model/erasures.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery } from "../../journal/model/event-entry.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { Journal, SessionExtent, SessionRecord } from "../../journal/model/journal.ts";
import { readFault } from "../../journal/model/journal-errors.ts";
import type { SessionEntry } from "../../journal/model/session-entry.ts";
import type { SessionListQuery } from "../../journal/model/session-list.ts";
import {
  type FormerTranscripts,
  formerOf,
  type TranscriptKey,
  type TranscriptStore,
} from "../../journal/model/transcript-entry.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import { dayOf, type UsageEntry, type UsageQuery } from "../../journal/model/usage-entry.ts";
import type { SharedJournal } from "../../journal/shared-journal.ts";
import { type Budget, BudgetMeter, type BudgetStatus } from "../options/budget.ts";
import type { KnownConversations } from "./belongings.ts";
import type { EventDelivery } from "./event-delivery.ts";

const DAY_MS = 24 * 60 * 60_000;

/** How many sessions to list at a time. */
const KEYS = 1_000;

/** What the journal knows of a session. */
export interface KnownSession {
  readonly entry?: SessionEntry | undefined;
  /** Its unfinished turns in order, the running one first. */
  readonly turns: readonly TurnEntry[];
  /** Its schedules; left out if there are none. */
  readonly jobs?: readonly JobEntry[];
}

/** How many sessions to read at a time. */
const MOST_KEYS = 500;

/** How long `close` waits for running erasures and for records that are being opened. */
const CLOSING_MS = 5_000;

/** The journal as the sessions of one supervisor use it, and their shared spending. */
export class SupervisorJournal {
  /** The name of the root supervisor. */
  readonly supervisor: string;
  readonly meter: BudgetMeter;
  readonly #budget: Budget | undefined;
  readonly #clock: Clock;
  #opened: SharedJournal | undefined;
  /** The records that are being opened, by session. */
  readonly #openings = new Map<string, Promise<void>>();
  /** What brings events to receivers outside, if there are any. */
  delivery: EventDelivery | undefined;

  constructor(supervisor: string, budget: Budget | undefined, clock: Clock) {
    this.supervisor = supervisor;
    this.meter = new BudgetMeter(clock);
    this.#budget = budget;
    this.#clock = clock;
  }

  /** Starts to use the opened journal. @throws CastellanError `JOURNAL_UNAVAILABLE` if it cannot be read */
  async open(shared: SharedJournal): Promise<void> {
    this.#opened = shared;
    if (this.#budget === undefined) return;
    this.meter.load(await shared.journal.usage({ supervisor: this.supervisor, by: ["day"] }));
  }

  /**
   * Returns what the journal knows of these sessions, by key, once all pending writes are done.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async read(keys: readonly string[]): Promise<Map<string, KnownSession>> {
    // An earlier session of the name may have events that wait for their numbers.
    if (this.#openings.size > 0) await Promise.all(keys.map((key) => this.#openings.get(key)));
    await this.writer?.settled();
    // Another application may have had the sessions until now.
    if (this.isShared) this.delivery?.restored(keys);
    const known = new Map<string, KnownSession>();
    for (let from = 0; from < keys.length; from += MOST_KEYS) {
      const some = keys.slice(from, from + MOST_KEYS);
      const [first = ""] = some;
      const [entries, turns, scheduled] = await Promise.all([
        this.journal.sessions(some),
        this.journal.unfinishedTurns(some),
        this.journal.dueBeginning(some.length === 1 ? first : "", Number.MAX_VALUE),
      ]).catch((thrown: unknown) => {
        throw readFault(thrown, this.journal.location);
      });
      const turnsOf = Map.groupBy(turns, ({ session }) => session);
      const entryOf = new Map(entries.map((entry) => [entry.key, entry]));
      for (const key of some) known.set(key, { entry: entryOf.get(key), turns: turnsOf.get(key) ?? [] });
      const wanted = new Set(some);
      for (const key of scheduled.filter((key) => wanted.has(key))) {
        const jobs = await Array.fromAsync(this.journal.jobs(key));
        known.set(key, { turns: [], ...known.get(key), jobs });
      }
    }
    return known;
  }

  /**
   * Returns the keys with this prefix of sessions that have unfinished turns.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async unfinished(keyPrefix: string): Promise<string[]> {
    await this.writer?.settled();
    return await this.journal.unfinishedBeginning(keyPrefix);
  }

  /**
   * Returns a page of the supervisor's sessions, see `Journal.listSessions`. Does not wait for writes that the journal
   * does not accept.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async listSessions(query: Omit<SessionListQuery, "supervisor">): Promise<SessionEntry[]> {
    await this.writer?.caughtUp();
    return await this.journal.listSessions({ ...query, supervisor: this.supervisor });
  }

  /**
   * Returns the keys with this prefix of sessions that have a schedule due by `until`, in milliseconds since the epoch.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async due(keyPrefix: string, until: number): Promise<string[]> {
    return await this.journal.dueBeginning(keyPrefix, until);
  }

  /** Returns the known conversations of a session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async conversations(key: string): Promise<KnownConversations> {
    await this.writer?.settled();
    const { journal } = this;
    const [[entry], left, transcripts] = await Promise.all([
      journal.sessions([key]),
      journal.conversations(key),
      // Also those that it received before an option forbade it.
      journal.transcripts?.writtenBy(key),
    ]).catch((thrown: unknown) => {
      throw readFault(thrown, journal.location);
    });
    return { entry, left, transcripts };
  }

  /** Returns how much the journal holds of a session. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async extent(key: string): Promise<SessionExtent> {
    await this.writer?.settled();
    return await this.journal.extent(key);
  }

  /** Returns how many jobs a session or a pool has. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async countJobs(key: string): Promise<number> {
    let jobs = 0;
    for await (const _ of this.jobs(key)) jobs++;
    return jobs;
  }

  /** Returns how far webhooks have got with a session's events. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async deliveries(key: string): Promise<DeliveryEntry[]> {
    await this.writer?.settled();
    return await this.journal.deliveries({ sessions: [key], limit: 1_000 });
  }

  /** Returns the keys with this prefix under which the journal has sessions of the supervisor. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async keysBeginning(keyPrefix: string): Promise<string[]> {
    const keys = new Set(await this.journal.unfinishedBeginning(keyPrefix));
    for (const archived of [false, true]) {
      for (let after = keyPrefix; ; ) {
        const range = [keyPrefix, `${keyPrefix}\u{10FFFF}`] as const;
        const page = await this.listSessions({ archived, range, after, limit: KEYS });
        for (const { key } of page) keys.add(key);
        const last = page.at(-1);
        if (last === undefined) break;
        after = last.key;
      }
    }
    return [...keys];
  }

  /** Yields the jobs of a session or a pool, see `Journal.jobs`. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async *jobs(key: string): AsyncGenerator<JobEntry, void, undefined> {
    await this.writer?.settled();
    yield* this.journal.jobs(key);
  }

  /**
   * Yields the turns, approvals and jobs of a session, see `Journal.records`.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async *records(key: string): AsyncGenerator<SessionRecord, void, undefined> {
    await this.writer?.settled();
    yield* this.journal.records(key);
  }

  /** Returns a page of a session's events, see `Journal.events`. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async events(query: EventQuery): Promise<EventEntry[]> {
    await this.writer?.settled();
    return await this.journal.events(query);
  }

  /** Returns the range of a session's events. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async eventExtent(key: string): Promise<EventExtent | undefined> {
    await this.writer?.settled();
    return await this.journal.eventExtent(key);
  }

  /** Yields the lines of a transcript, see `TranscriptStore.lines`. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async *transcriptLines(key: TranscriptKey): AsyncGenerator<string, void, undefined> {
    yield* this.journal.transcripts?.lines(key) ?? [];
  }

  /** Returns a content of events. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async content(hash: string): Promise<ContentEntry | undefined> {
    await this.writer?.settled();
    return await this.journal.content(hash);
  }

  /**
   * Removes everything about a session. Its spending stays, under the key `as`, or under its own key.
   *
   * @param conversations stay on record as former conversations, because files of them may remain
   * @throws CastellanError `JOURNAL_UNAVAILABLE`, `NOT_OWNER`
   */
  async erase(key: string, as: string | undefined, conversations: readonly ConversationEntry[] = []): Promise<void> {
    const change: Change =
      as === undefined ? { type: "session_forgotten", session: key } : { type: "session_erased", session: key, as };
    this.delivery?.leave(key);
    const left = conversations.map((conversation): Change => ({ type: "conversation_left", conversation }));
    await this.writer?.write([change, ...left], { durable: true, session: key });
  }

  /** See `Journal.expunge`. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async expunge(urgent: boolean): Promise<void> {
    await this.journal.expunge?.(urgent);
  }

  /** The running erasures; none before the journal is open. */
  get erasures(): Erasures {
    return this.#opened?.erasures ?? new Erasures();
  }

  /** Returns what was spent, once all pending writes are done. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: UsageQuery): Promise<UsageEntry[]> {
    await this.writer?.settled();
    return await this.journal.usage(query);
  }

  /**
   * Like {@link usage}, but does not wait for writes that the journal does not accept, so a read-only journal works.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async usageWritten(query: UsageQuery): Promise<UsageEntry[]> {
    await this.writer?.caughtUp();
    return await this.journal.usage(query);
  }

  /** Hands the journal over; undefined if that is impossible, or before it is open. */
  get handover(): Handover | undefined {
    return this.#opened?.handover;
  }

  /** The sessions that an earlier process of the application still has; undefined if there can be none. */
  get loans(): Loans | undefined {
    return this.#opened?.handover?.loans;
  }

  /** Takes over what an earlier process of the application has written for these sessions. */
  async reload(keys: readonly string[]): Promise<void> {
    this.delivery?.restored(keys);
    if (this.#budget === undefined) return;
    this.meter.load(await this.usage({ supervisor: this.supervisor, by: ["day"] }));
  }

  /**
   * Takes over what was spent since yesterday: other applications write to the same journal, and spend of the same budget.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  async followSpending(): Promise<void> {
    const since = dayOf(this.#clock.now() - DAY_MS);
    const { supervisor } = this;
    await this.meter.reread(since, () => this.usageWritten({ supervisor, by: ["day"], since }));
  }

  /** Resolves once the record of the session is not being opened. */
  async opened(key: string): Promise<void> {
    await this.#openings.get(key);
  }

  /** Tells that a session's record is being opened, which ends with a write. */
  isOpening(key: string, opening: Promise<void>): void {
    const over = opening
      .catch(() => {})
      .then(() => {
        if (this.#openings.get(key) === over) this.#openings.delete(key);
      });
    this.#openings.set(key, over);
  }

  /** Releases the journal, if it is open. Waits for erasures and openings of records for at most five seconds. */
  async close(): Promise<void> {
    const openings = Promise.all(this.#openings.values());
    await withDeadline(this.#clock, CLOSING_MS, Promise.all([this.erasures.allOver(), openings]));
    await this.#opened?.release();
  }

  get journal(): Journal {
    if (this.#opened === undefined) throw new Error("the journal is read before it is open");
    return this.#opened.journal;
  }

  /** The transcripts in the journal; undefined if it keeps none, or before it is open. */
  get transcripts(): TranscriptStore | undefined {
    return this.#opened?.transcripts;
  }

  /** Where earlier releases kept the transcripts, if elsewhere. */
  get formerTranscripts(): FormerTranscripts | undefined {
    return formerOf(this.transcripts);
  }

  get writer(): JournalWriter | undefined {
    return this.#opened?.writer;
  }

  /** The budget and how much of it is spent, if the supervisor has one. */
  get budget(): BudgetStatus | undefined {
    return this.#budget === undefined ? undefined : this.meter.status(this.#budget);
  }

  /** The location of the journal, for messages; `undefined` until it is open. */
  get location(): string | undefined {
    return this.#opened?.journal.location;
  }

  /** Whether another application may take over what is written, see `Journal.shared`. */
  get isShared(): boolean {
    return this.#opened?.journal.shared === true;
  }

  /** Why the sessions may not spend more, or undefined. */
  get refusal(): CastellanError | undefined {
    return this.meter.refusal(this.#budget, "supervisor", `supervisor "${this.supervisor}"`);
  }

  /** When the journal last rejected or failed a write, and why. */
  get lastFault(): { readonly at: number; readonly message: string } | undefined {
    return this.#opened?.writer.lastFault;
  }

  /** Why the journal cannot be written, or undefined. */
  get fault(): CastellanError | undefined {
    return this.#opened?.writer.fault;
  }

  /** What is wrong with the stored data, or undefined, see `Journal.damage`. */
  get damage(): string | undefined {
    return this.#opened?.journal.damage;
  }
}
