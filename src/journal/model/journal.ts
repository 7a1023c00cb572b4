import type { CastellanError } from "../../errors.ts";
import type { ApprovalEntry } from "./approval-entry.ts";
import type { Batch } from "./change.ts";
import type { ConversationEntry } from "./conversation-entry.ts";
import type { SessionEntry } from "./session-entry.ts";
import type { TurnEntry } from "./turn-entry.ts";
import type { UsageEntry, UsageQuery } from "./usage-entry.ts";

/** The application that holds a journal. */
export interface JournalOwner {
  /** Unlike that of any other application, and of any other run of the same one. */
  readonly id: string;
  readonly pid: number;
  readonly host: string;
  /** When its process was started, in milliseconds since the epoch. */
  readonly startedAt: number;
}

/** Which of the turns that have ended are kept. Those that have not are kept in any case. */
export interface Retention {
  /** In milliseconds since the epoch; what ended before is not kept. */
  readonly endedSince: number;
  /** How many of each session, the latest first. */
  readonly turnsPerSession: number;
}

/**
 * The durable record of sessions, turns, approvals and costs. Castellan has one in memory, one in a SQLite file and one in
 * PostgreSQL; one of an application's own has to pass `journalConformance` of `castellan/testing`.
 *
 * One application holds a journal at a time, and calls `write` one batch after the other. Reads see all that has been written.
 */
export interface Journal {
  /** Where it is, for messages. Tells no password. */
  readonly location: string;
  /**
   * Makes the journal this application's, and makes it ready: what is not there is created, what an older release made is
   * brought up to date. A journal that was closed can be opened again.
   *
   * @throws CastellanError `JOURNAL_IN_USE` while another application that lives holds it; `JOURNAL_UNAVAILABLE`
   */
  open(owner: JournalOwner): Promise<void>;
  /**
   * Why it has been opened only to be read, if that is so: there is no room where it is. `write` takes up the rest once it can, and is
   * tried until then. One that is refused in such a case can leave it out.
   */
  readonly unwritable?: CastellanError | undefined;
  /**
   * What is wrong with what it has, in words, although the rest can be used: what is damaged so that it may not be found, or is not there
   * any more. Known when it has been opened, or some time after that; one that cannot tell can leave it out.
   */
  readonly damage?: string | undefined;
  /**
   * Resolves, to `NOT_OWNER`, when the journal finds out that another application has taken it, without having been asked to
   * write. Each opening has its own; one that never finds out by itself can leave it out.
   */
  readonly lost?: Promise<CastellanError> | undefined;
  /**
   * Whether others hold parts of the same journal, and may take over what this application has: then nobody is told what came of a
   * turn before that is written. Default `false`.
   */
  readonly shared?: boolean;
  /** Gives it back. What has been written stays. Does nothing if it is not open. */
  close(): Promise<void>;
  /**
   * Makes the changes of a batch, in order, all or none, and resolves when they would outlive the application.
   *
   * After a rejection whose `details.applied` is not `false` the same batch is written again, under the same number. It must
   * not be applied twice: one that turns out to have been applied counts as written.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; `NOT_OWNER` if another application has taken the journal over meanwhile
   */
  write(batch: Batch): Promise<void>;
  /** The sessions of these keys, of which there are 500 at most: each that is known, once, in no particular order. */
  sessions(keys: readonly string[]): Promise<SessionEntry[]>;
  /** The keys of sessions that begin so and have turns that have not ended, each once, in order. */
  unfinishedBeginning(keyPrefix: string): Promise<string[]>;
  /** The turn with this id, if it is known. */
  turn(id: string): Promise<TurnEntry | undefined>;
  /**
   * The turns that have not ended of these sessions, of which there are 500 at most. Those of one session come in the order
   * of their positions, the running one first.
   */
  unfinishedTurns(sessions: readonly string[]): Promise<TurnEntry[]>;
  /** The last approvals of a session, newest first; of those asked for at the same time, the one written last. */
  approvals(session: string, limit: number): Promise<ApprovalEntry[]>;
  /** The conversations that a session has left, in the order in which that was written. */
  conversations(session: string): Promise<ConversationEntry[]>;
  /**
   * The turns of a session in the order in which they were written, then its approvals likewise. They are read in pieces, so that
   * few of them are in memory; what is written meanwhile may be among them, or not.
   */
  records(session: string): AsyncIterable<SessionRecord>;
  /** How many turns and approvals of a session there are. */
  extent(session: string): Promise<SessionExtent>;
  /** What was spent; the entries stand in no particular order. */
  usage(query: UsageQuery): Promise<UsageEntry[]>;
  /** Forgets turns and settled approvals that need not be kept; resolves with how many turns those were. */
  prune(retention: Retention): Promise<number>;
  /**
   * Sees to it that nothing stands in its own files any more that was forgotten or erased before this was called; one that is not
   * `urgent` may do so later, by itself. A journal that has no files of its own can leave it out.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE`; it can be called again
   */
  expunge?(urgent: boolean): Promise<void>;
}

/** One thing that a journal has of a session besides its conversations and what it spent. */
export type SessionRecord =
  | { readonly type: "turn"; readonly turn: TurnEntry }
  | { readonly type: "approval"; readonly approval: ApprovalEntry };

/** How much of that there is. */
export interface SessionExtent {
  readonly turns: number;
  readonly approvals: number;
}
