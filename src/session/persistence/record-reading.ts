import { withoutUndefined } from "../../fields.ts";
import type { ApprovalSettlement } from "../conversation/approval.ts";
import type { EventContent } from "../record/content.ts";
import {
  type EventOptions,
  type EventPageOptions,
  type EventStore,
  readEventPage,
  readEvents,
} from "../record/event-readers.ts";
import { readHistory } from "../record/history.ts";
import type { HistoryOptions, HistoryPage } from "../record/history-entry.ts";
import type { RecordedEvent, SessionEvent } from "../record/session-event-types.ts";
import { RecordedTurns } from "./recorded-turns.ts";
import type { SessionJournal } from "./session-journal.ts";

/** How many events to read at a time. */
const MOST_PAGE = 1_000;

/** Who answered an approval, and what Claude was told. */
type ApprovalWords = Pick<ApprovalSettlement, "by" | "message">;

/** Reads the record of a session. Its methods fail with `JOURNAL_UNAVAILABLE`, and as `ready` does. */
export class RecordReading {
  readonly #journal: SessionJournal;
  readonly #store: EventStore;

  /** `ready` resolves once the journal can be read, with all events so far. */
  constructor(journal: SessionJournal, ready: () => Promise<void>) {
    this.#journal = journal;
    this.#store = {
      ready,
      events: (query) => journal.events(query),
      extent: () => journal.extent(),
    };
  }

  /** The number of the last event, or undefined if the journal has not been read yet. */
  get last(): number | undefined {
    return this.#journal.record.last;
  }

  /** Resolves with the number of the last event once the journal has been read. */
  async lastWhenKnown(): Promise<number> {
    await this.#store.ready();
    return this.last ?? 0;
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#journal.record.readers;
  }

  /** See {@link readEvents}. */
  events(options: EventOptions): AsyncGenerator<SessionEvent, void, undefined> {
    return readEvents(this.#journal.record, this.#store, options);
  }

  /** See {@link readEventPage}. */
  async page(options: EventPageOptions): Promise<RecordedEvent[]> {
    return await readEventPage(this.#journal.record, this.#store, options);
  }

  /** See {@link readHistory}. */
  async history(options: HistoryOptions, current: string | undefined): Promise<HistoryPage> {
    const turns = new RecordedTurns(this.#journal);
    return await readHistory(
      {
        page: (page) => this.page(page),
        extent: () => this.#store.extent(),
        accepted: (turn, number) => turns.accepted(turn, number),
        ended: (turn, number) => turns.ended(turn, number),
      },
      options,
      current,
    );
  }

  /** Returns who answered the latest approvals and what Claude was told, by the approvals' ids. Looks at the last `limit` answers. */
  async settlements(limit: number): Promise<Map<string, ApprovalWords>> {
    const found = new Map<string, ApprovalWords>();
    let before = Number.POSITIVE_INFINITY;
    for (let left = limit; left > 0; ) {
      const page = await this.page({ before, types: ["approval_settled"], limit: Math.min(left, MOST_PAGE) });
      for (const event of page) {
        before = event.number;
        if (event.type !== "approval_settled") continue;
        found.set(event.id, withoutUndefined({ by: event.by, message: event.message }));
      }
      if (page.length === 0) break;
      left -= page.length;
    }
    return found;
  }

  /** Returns a content to which an event or a turn of the session refers, or undefined. */
  async content(hash: string): Promise<EventContent | undefined> {
    await this.#store.ready();
    const found = await this.#journal.content(hash);
    if (found === undefined) return undefined;
    const { mediaType = "application/octet-stream", data } = found;
    return { mediaType, data };
  }
}
