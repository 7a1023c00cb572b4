import type { ApprovalEntry, RequestedApproval } from "./approval-entry.ts";
import type { ConversationEntry } from "./conversation-entry.ts";
import type { DeliveryEntry } from "./delivery-entry.ts";
import type { ContentEntry, EventEntry } from "./event-entry.ts";
import type { JobEntry } from "./job-entry.ts";
import type { JsonObject, SavedSession, SessionDescription } from "./session-entry.ts";
import type { ModelSpending } from "./spending.ts";
import type { TranscriptPart } from "./transcript-entry.ts";
import type { AcceptedTurn, EndedTurnState } from "./turn-entry.ts";

/** How a turn goes to a process: the id of its prompt, and the number of the attempt, from 1. */
export interface TurnBeginning {
  readonly promptId: string;
  readonly attempt: number;
}

/** A change of a journal. A change of an unknown or ended turn or approval has no effect: a turn ends once. */
export type Change =
  /** Replaces the entry of the session, and keeps its description. */
  | { readonly type: "session_saved"; readonly session: SavedSession }
  /** Replaces the description of the session. Has no effect if the session has no entry. */
  | { readonly type: "session_described"; readonly session: string; readonly description: SessionDescription }
  /**
   * Deletes everything about the session, with the transcripts that belong to it, except its spending. Its next event
   * has the number 1.
   */
  | { readonly type: "session_forgotten"; readonly session: string }
  /**
   * As `session_forgotten`, and moves the session's spending to the key `as`, which is no session's, so that the name
   * is gone.
   */
  | { readonly type: "session_erased"; readonly session: string; readonly as: string }
  | { readonly type: "conversation_left"; readonly conversation: ConversationEntry }
  /** Nothing remains of a conversation that the session had left. Deletes its transcripts, if they are the session's. */
  | { readonly type: "conversation_erased"; readonly session: string; readonly conversationId: string }
  /**
   * Has no effect if the turn exists. `contents` is what the prompt refers to; each is kept as long as the turn. With `begun`,
   * the turn goes to a process at once, as `turn_begun` says.
   */
  | {
      readonly type: "turn_accepted";
      readonly turn: AcceptedTurn;
      readonly contents?: readonly ContentEntry[];
      readonly begun?: TurnBeginning;
    }
  /** The caller was told that the turn is not accepted. Deletes the turn unless it has begun or ended. */
  | { readonly type: "turn_withdrawn"; readonly turn: string }
  /** The turn is about to go to a process, for the `attempt`-th time, and is untouched. */
  | ({ readonly type: "turn_begun"; readonly turn: string } & TurnBeginning)
  | { readonly type: "turn_touched"; readonly turn: string }
  /** The turn waits again. `attempts` replaces the count if the last attempt does not count. */
  | {
      readonly type: "turn_requeued";
      readonly turn: string;
      readonly position: number;
      readonly attempts?: number;
    }
  | {
      readonly type: "turn_ended";
      readonly turn: string;
      readonly state: EndedTurnState;
      readonly at: number;
      readonly outcome: JsonObject;
    }
  /** Adds the job, or replaces the one with its id, which keeps its place among the others. */
  | { readonly type: "job_saved"; readonly job: JobEntry }
  /** Adds the job. Has no effect if there is one with its id. */
  | { readonly type: "job_added"; readonly job: JobEntry }
  | { readonly type: "job_dropped"; readonly job: string }
  /** Adds to the spending of that day. */
  | {
      readonly type: "spent";
      readonly supervisor: string;
      readonly session: string;
      /** In UTC, as `2026-11-24`. */
      readonly day: string;
      readonly models: readonly ModelSpending[];
      /** The number of turns that spend for the first time. They count for the model that cost most. Default 0. */
      readonly turns?: number;
    }
  | { readonly type: "approval_requested"; readonly approval: RequestedApproval }
  | {
      readonly type: "approval_settled";
      readonly approval: string;
      readonly outcome: NonNullable<ApprovalEntry["outcome"]>;
      readonly at: number;
    }
  /**
   * Appends an event to the session's log. Has no effect unless its number is higher than that of the last event.
   * `contents` brings what the event refers to; a content that is stored already is ignored, and so is one that the
   * event does not name. A content that was stored only by deleted events is gone, so bring each content always.
   */
  | { readonly type: "event_appended"; readonly event: EventEntry; readonly contents?: readonly ContentEntry[] }
  /**
   * The receiver may lack events after the entry's `after`. Adds the entry. One that exists keeps the lower `after` and
   * the later time of the two.
   */
  | { readonly type: "delivery_due"; readonly delivery: DeliveryEntry }
  /** The receiver has the events up to `after`. Has no effect without an entry. */
  | {
      readonly type: "delivery_advanced";
      readonly session: string;
      readonly endpoint: string;
      readonly after: number;
      readonly at: number;
    }
  /** The receiver lacks nothing. Deletes the entry. */
  | { readonly type: "delivery_done"; readonly session: string; readonly endpoint: string }
  /** Appends to a transcript, and begins it if needed. Only for a journal with `transcripts`. */
  | { readonly type: "transcript_appended"; readonly part: TranscriptPart };

/** Changes that are applied together or not at all. */
export interface Batch {
  /** Number of the batch since the journal was opened, from 1. */
  readonly number: number;
  readonly changes: readonly Change[];
  /**
   * Keys of the sessions that the changes belong to, each once, as far as known. A journal that several machines write
   * checks that the writer owns them; others ignore it.
   */
  readonly sessions?: readonly string[];
  /** Whether the batch must survive a power loss of the machine. */
  readonly durable: boolean;
}
