import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { TranscriptEvidence } from "../../claude/messages/transcript-evidence.ts";
import { CastellanError } from "../../errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { OnInterruptedTurn } from "../options/options.ts";
import type { ConversationEvent } from "./conversation.ts";

/** How often one turn is handed to a process. A turn that has seen this many of them die may be what kills them. */
const MOST_ATTEMPTS = 3;

/** What is known of a turn whose process, or whose application, died. */
export interface CutTurn {
  /** Whether Claude had begun to answer or to act. */
  readonly touched: boolean;
  /** How often it has been handed to a process. */
  readonly attempts: number;
}

/** How a turn ended that ran when the application died. */
export interface TurnCut {
  readonly error: CastellanError;
  /** What is known of what it had shown. */
  readonly shown: readonly ShownPiece[];
}

/** Whether a turn that was cut is run again; otherwise it ends as interrupted. */
export function isRunAgain({ touched, attempts }: CutTurn, policy: OnInterruptedTurn): boolean {
  if (attempts >= MOST_ATTEMPTS) return false;
  return policy === "retry" || (policy === "retry_if_untouched" && !touched);
}

/**
 * What becomes of a turn that ran when the application died: what is to be done to the conversation, and the error that the
 * turn ends with, unless it is run again.
 *
 * The journal knows whether anything of the turn had been seen; what was written after that, the transcript may know.
 */
export function settle(
  who: string,
  { id, attempts, promptId, touched: seen }: TurnEntry,
  { touched: written, shown, partialText, toolUses, lastUuid }: TranscriptEvidence,
  policy: OnInterruptedTurn,
  freshId: string,
): { readonly conversation: ConversationEvent; readonly cut: TurnCut | undefined } {
  const touched = seen || written;
  const again = isRunAgain({ touched, attempts }, policy);
  const kept = touched && !again;
  const conversation: ConversationEvent = kept
    ? { type: "turn_cut", lastUuid: lastUuid ?? promptId }
    : { type: "turn_undone", freshId };
  if (again) return { conversation, cut: undefined };
  const known = touched ? "after Claude had begun to answer; `details` has what is known" : "before it was answered";
  const message = `${who}: the turn was interrupted by the end of the application, ${known}.`;
  const details = { turnId: id, partialText, toolUses, conversation: kept ? "kept" : "undone" } as const;
  const error = new CastellanError("TURN_INTERRUPTED", message, { details });
  // What was not written down yet may have been shown.
  return { conversation, cut: { error, shown: touched ? [...shown, { type: "lost" }] : [] } };
}
