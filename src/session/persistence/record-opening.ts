import type { Clock } from "../../clock.ts";
import type { EventExtent } from "../../journal/model/event-entry.ts";
import { readFault } from "../../journal/model/journal-errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { SessionRecord } from "../record/session-record.ts";
import { type Missing, missingFrom, type Reads } from "./record-completion.ts";
import type { SupervisorJournal } from "./supervisor-journal.ts";

/** What a session continues from before it was restored. */
export interface Continued {
  /** The turns that had not ended. */
  readonly unfinished: readonly TurnEntry[];
  /** Whether the session may have permission requests that nobody has answered. */
  readonly asks: boolean;
}

/** What the opening of a record reads of its session. */
interface OpenedJournal extends Reads {
  readonly record: SessionRecord;
  extent(): Promise<EventExtent | undefined>;
  /** Begins the record after the event with the number `last`, with what is missing. */
  beginRecord(last: number, missing: Missing): void;
}

/** What an open record continues from: it is complete. */
const NOTHING_CONTINUED: Continued = { unfinished: [], asks: false };

/**
 * Opens the record of a session at its first use: finds its last number, and completes what the death of an application
 * has left. A start of many names therefore reads the records of those that are used.
 */
export class RecordOpening {
  readonly #key: string;
  readonly #journal: OpenedJournal;
  readonly #supervisorJournal: SupervisorJournal;
  readonly #clock: Pick<Clock, "now">;
  #continued: Continued | undefined;
  #running: Promise<void> | undefined;

  /** `key` is the canonical name. */
  constructor(key: string, journal: OpenedJournal, supervisorJournal: SupervisorJournal, clock: Pick<Clock, "now">) {
    this.#key = key;
    this.#journal = journal;
    this.#supervisorJournal = supervisorJournal;
    this.#clock = clock;
  }

  /** Lets the record be opened from now on: the session is restored as far as that needs. */
  allow(continued: Continued): void {
    this.#continued = continued;
    const { hasEarly, readers } = this.#journal.record;
    if (hasEarly || readers > 0) void this.use();
  }

  /** The opening while it runs. Resolves also if it fails. */
  get running(): Promise<void> | undefined {
    return this.#running?.catch(() => {});
  }

  /**
   * Opens the record for an event, if that is allowed by now. Resolves also if the journal cannot be read; the next use then
   * tries again. Returns undefined if there is nothing to wait for.
   */
  use(): Promise<void> | undefined {
    return this.#continued === undefined ? undefined : this.open()?.catch(() => {});
  }

  /**
   * Opens the record: begins to number the events after the journal's last one, and completes the record. Returns
   * undefined if it is open. Fails with `JOURNAL_UNAVAILABLE`, and can then be tried again.
   */
  open(): Promise<void> | undefined {
    if (this.#journal.record.last !== undefined) return undefined;
    if (this.#running !== undefined) return this.#running;
    this.#running = this.#open().finally(() => {
      this.#running = undefined;
    });
    this.#supervisorJournal.isOpening(this.#key, this.#running);
    return this.#running;
  }

  async #open(): Promise<void> {
    const journal = this.#journal;
    try {
      const last = (await journal.extent())?.last ?? 0;
      const { unfinished, asks } = this.#continued ?? NOTHING_CONTINUED;
      // A name without events has nothing to read.
      const recorded = last === 0 ? undefined : last;
      const found = { session: this.#key, unfinished, asks, recorded, at: this.#clock.now() };
      journal.beginRecord(last, await missingFrom(journal, found));
      this.#continued = NOTHING_CONTINUED;
    } catch (thrown) {
      throw readFault(thrown, this.#supervisorJournal.location ?? "of the session");
    }
  }
}
