import type { ApprovalEntry, RequestedApproval } from "./approval-entry.ts";
import type { ConversationEntry } from "./conversation-entry.ts";
import type { JsonObject, SessionEntry } from "./session-entry.ts";
import type { ModelSpending } from "./spending.ts";
import type { AcceptedTurn, EndedTurnState } from "./turn-entry.ts";

/**
 * What a journal is told. A change of a turn or an approval that is not there, or of one that has ended already, does
 * nothing: a turn ends once.
 */
export type Change =
  /** In the place of what was known of the session. */
  | { readonly type: "session_saved"; readonly session: SessionEntry }
  /** Nothing is to be kept of the session but what it spent: not its turns, not its approvals, not which conversations it had. */
  | { readonly type: "session_forgotten"; readonly session: string }
  /**
   * The same, and its name is not to be kept either: what it spent stays, added to what stands under the key `as`, which is no
   * session's.
   */
  | { readonly type: "session_erased"; readonly session: string; readonly as: string }
  | { readonly type: "conversation_left"; readonly conversation: ConversationEntry }
  /** Nothing is left of a conversation that the session had left. */
  | { readonly type: "conversation_erased"; readonly session: string; readonly conversationId: string }
  /** A turn of an id that is there already stays as it is. */
  | { readonly type: "turn_accepted"; readonly turn: AcceptedTurn }
  /** Its caller was told that it is not accepted. Nothing is kept of it, unless it has begun or ended. */
  | { readonly type: "turn_withdrawn"; readonly turn: string }
  /** It is about to be handed to a process, for the `attempt`-th time; nothing of it is touched. */
  | { readonly type: "turn_begun"; readonly turn: string; readonly promptId: string; readonly attempt: number }
  | { readonly type: "turn_touched"; readonly turn: string }
  /** It waits again. `attempts` is how often it has been handed to a process, where the last time does not count. */
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
  /** Added to what was spent on that day. */
  | {
      readonly type: "spent";
      readonly supervisor: string;
      readonly session: string;
      /** In UTC, as `2026-11-24`. */
      readonly day: string;
      readonly models: readonly ModelSpending[];
    }
  | { readonly type: "approval_requested"; readonly approval: RequestedApproval }
  | {
      readonly type: "approval_settled";
      readonly approval: string;
      readonly outcome: NonNullable<ApprovalEntry["outcome"]>;
      readonly at: number;
    };

/** Changes that are made together, or not at all. */
export interface Batch {
  /** Counts the batches since the journal was opened, from 1. */
  readonly number: number;
  readonly changes: readonly Change[];
  /**
   * The keys of the sessions whose changes they are, each once, as far as that was said. A journal that several machines write
   * makes sure that whoever writes owns them; others take no notice.
   */
  readonly sessions?: readonly string[];
  /** Whether it must be there also after the machine, and not only the application, has lost its power. */
  readonly durable: boolean;
}
