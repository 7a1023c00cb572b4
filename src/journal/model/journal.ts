import type { CastellanError } from "../../errors.ts";
import type { ApprovalEntry } from "./approval-entry.ts";
import type { Batch } from "./change.ts";
import type { ConversationEntry } from "./conversation-entry.ts";
import type { DeliveryEntry, DeliveryQuery } from "./delivery-entry.ts";
import type { ContentEntry, EventEntry, EventExtent, EventQuery, EventRetention } from "./event-entry.ts";
import type { JobEntry } from "./job-entry.ts";
import type { SessionEntry } from "./session-entry.ts";
import type { SessionListQuery } from "./session-list.ts";
import type { TranscriptStore } from "./transcript-entry.ts";
import type { TurnEntry, TurnQuery } from "./turn-entry.ts";
import type { UsageEntry, UsageQuery } from "./usage-entry.ts";

/** The application that owns a journal. */
export interface JournalOwner {
  /** Unique per run of an application. */
  readonly id: string;
  readonly pid: number;
  readonly host: string;
  /** Start time of the process, in milliseconds since the epoch. */
  readonly startedAt: number;
}

/** Which ended turns and which events to keep. Unfinished turns are always kept. */
export interface Retention {
  /** In milliseconds since the epoch; turns that ended earlier are deleted. */
  readonly endedSince: number;
  /** How many turns to keep per session, latest first. */
  readonly turnsPerSession: number;
  readonly events: EventRetention;
}

/**
 * The durable record of sessions, turns, approvals, events and costs. Castellan has journals in memory, in a SQLite file and in
 * PostgreSQL; a custom one must pass `journalConformance` of `castellan/testing`.
 *
 * One application owns a journal at a time, and calls `write` one batch at a time. Reads see all completed writes.
 */
export interface Journal {
  /** Location of the journal, for messages. Contains no password. */
  readonly location: string;
  /** Which of Castellan's journals it is. Left out by a custom one. */
  readonly kind?: "memory" | "sqlite" | "postgres";
  /** Asks the store for its release, and so whether it answers. Optional. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  version?(): Promise<string>;
  /**
   * Makes this application the owner. Creates the storage if it is missing, and migrates that of an earlier release. A
   * closed journal can be opened again.
   *
   * @throws CastellanError `JOURNAL_IN_USE` while another live application owns it; `JOURNAL_UNAVAILABLE`
   */
  open(owner: JournalOwner): Promise<void>;
  /**
   * Why the journal was opened read-only: there is no space. `write` completes the opening once it can, and is retried
   * until then. Optional: a journal can refuse to open instead.
   */
  readonly unwritable?: CastellanError | undefined;
  /**
   * Describes damage that leaves the rest usable, such as rows that cannot be found or are gone. Known at opening or
   * some time later. Optional.
   */
  readonly damage?: string | undefined;
  /**
   * Resolves, to `NOT_OWNER`, when the journal finds out by itself that another application has taken it over. New on
   * each opening. Optional.
   */
  readonly lost?: Promise<CastellanError> | undefined;
  /**
   * Whether other applications own parts of the same journal and may take over this application's part. A turn's
   * outcome is then reported only after it is written. Default `false`.
   */
  readonly shared?: boolean;
  /**
   * The transcripts of the sessions' conversations. Optional: without it the journal receives no `transcript_appended`,
   * and conversations exist only where Claude Code keeps them.
   */
  readonly transcripts?: TranscriptStore;
  /** Releases the journal. Idempotent. */
  close(): Promise<void>;
  /**
   * Applies the changes of a batch in order, atomically. Resolves once they would survive the application.
   *
   * After a rejection whose `details.applied` is not `false`, the same batch is written again under the same number. It
   * must not be applied twice; an applied batch counts as written.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; `NOT_OWNER` if another application has taken over the journal
   */
  write(batch: Batch): Promise<void>;
  /** Returns the known sessions among at most 500 keys, each once, in any order. */
  sessions(keys: readonly string[]): Promise<SessionEntry[]>;
  /**
   * Returns a page of the sessions, by key.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` with the reason `damaged` if the first session of the page is damaged.
   * Its message names the session; the next page may begin after it
   */
  listSessions(query: SessionListQuery): Promise<SessionEntry[]>;
  /** Returns the keys of sessions with unfinished turns that start with `keyPrefix`, each once, in order. */
  unfinishedBeginning(keyPrefix: string): Promise<string[]>;
  /** Returns the turn with this id, or undefined. */
  turn(id: string): Promise<TurnEntry | undefined>;
  /**
   * Returns a page of a session's turns. A page of large turns, above 1 MB in all, has fewer than `limit`: only an empty
   * page is past the first turn.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` with the reason `damaged` if the first turn of the page is damaged. Its
   * message names the turn; the next page may begin before it
   */
  turns(query: TurnQuery): Promise<TurnEntry[]>;
  /**
   * Returns the unfinished turns of at most 500 sessions. Those of one session are ordered by position, the running one
   * first.
   */
  unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]>;
  /** Returns the last approvals of a session, newest first; of equal times, the last written first. */
  approvals(session: string, limit: number): Promise<ApprovalEntry[]>;
  /** Returns the conversations that a session has left, in the order of their writes. */
  conversations(session: string): Promise<ConversationEntry[]>;
  /**
   * Yields the turns of a session, then its approvals, then its jobs, each in the order of their first writes. Reads in
   * pages, so that few entries are in memory; concurrent writes may be included or not.
   */
  records(session: string): AsyncIterable<SessionRecord>;
  /** Returns the job with this id, or undefined. */
  job(id: string): Promise<JobEntry | undefined>;
  /** Yields the jobs of a session or a pool, in the order of their first writes, in pages as {@link Journal.records}. */
  jobs(session: string): AsyncIterable<JobEntry>;
  /** Returns the keys of sessions and pools that start with `keyPrefix` and have a job due by `until`, each once, in order. */
  dueBeginning(keyPrefix: string, until: number): Promise<string[]>;
  /**
   * Returns a page of a session's events. A page of large events, above 1 MB in all, has fewer than `limit`: only an
   * empty page is past the last event. Leaves out damaged events, which `damage` and a warning tell.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  events(query: EventQuery): Promise<EventEntry[]>;
  /** Returns the range of a session's events; undefined if it never had any. */
  eventExtent(session: string): Promise<EventExtent | undefined>;
  /**
   * Returns a content; undefined if no stored event or turn refers to it, or, with `session`, none of that session. The cost
   * does not grow with the number of references.
   */
  content(hash: string, session?: string): Promise<ContentEntry | undefined>;
  /**
   * Returns a page of deliveries. A damaged entry begins at 0, so that its receiver lacks nothing.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`
   */
  deliveries(query: DeliveryQuery): Promise<DeliveryEntry[]>;
  /** Returns the number of turns, approvals and events of a session. */
  extent(session: string): Promise<SessionExtent>;
  /** Returns the spending, in any order. */
  usage(query: UsageQuery): Promise<UsageEntry[]>;
  /**
   * Deletes ended turns, settled approvals, deliveries and events that need not be kept, and contents that no event and no
   * turn refers to any more. A delivery is kept as long as a turn that ended when it was written. Deletes in small portions, so that writes wait only briefly. Resolves with the number of deleted turns.
   */
  prune(retention: Retention): Promise<number>;
  /**
   * Removes the bytes of all earlier deletions from the journal's own files; later and by itself unless `urgent`.
   * Optional for a journal without files.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; can be called again
   */
  expunge?(urgent: boolean): Promise<void>;
}

/** A turn, an approval or a job of a session. */
export type SessionRecord =
  | { readonly type: "turn"; readonly turn: TurnEntry }
  | { readonly type: "approval"; readonly approval: ApprovalEntry }
  | { readonly type: "job"; readonly job: JobEntry };

/** The number of a session's records. */
export interface SessionExtent {
  readonly turns: number;
  readonly approvals: number;
  readonly events: number;
}
