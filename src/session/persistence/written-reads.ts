import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { TurnEntry, TurnQuery } from "../../journal/model/turn-entry.ts";
import type { UsageEntry, UsageQuery } from "../../journal/model/usage-entry.ts";
import type { SupervisorJournal } from "./supervisor-journal.ts";

/** Reads what the journal has of a session, without waiting for writes that it does not accept. */
export class WrittenReads {
  readonly #session: string;
  readonly #journal: SupervisorJournal;

  /** `session` is the canonical name. */
  constructor(session: string, journal: SupervisorJournal) {
    this.#session = session;
    this.#journal = journal;
  }

  /** Returns a page of the session's turns. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async turns(query: Omit<TurnQuery, "session">): Promise<TurnEntry[]> {
    await this.#journal.writer?.caughtUp();
    return await this.#journal.journal.turns({ ...query, session: this.#session });
  }

  /** Returns what the session has spent. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async usage(query: Omit<UsageQuery, "session">): Promise<UsageEntry[]> {
    return await this.#journal.usageWritten({ ...query, session: this.#session });
  }

  /** Returns the latest approvals, newest first. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async approvals(limit: number): Promise<ApprovalEntry[]> {
    await this.#journal.writer?.caughtUp();
    return await this.#journal.journal.approvals(this.#session, limit);
  }
}
