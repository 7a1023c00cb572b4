import type { ShownPiece } from "../../claude/messages/shown.ts";
import type { TranscriptEvidence } from "../../claude/messages/transcript-evidence.ts";
import { CastellanError } from "../../errors.ts";
import type { TurnEntry } from "../../journal/model/turn-entry.ts";
import type { OnInterruptedTurn } from "../options/options.ts";
import type { ConversationEvent } from "./conversation.ts";

/** How many attempts a turn gets. A turn during which this many processes died may be the cause. */
const MOST_ATTEMPTS = 3;

/** A turn whose process or application died. */
export interface CutTurn {
  /** Whether Claude had begun to answer or to act. */
  readonly touched: boolean;
  /** How many attempts it has had. */
  readonly attempts: number;
}

/** The end of a turn that ran when the application died. */
export interface TurnCut {
  readonly error: CastellanError;
  /** Its known output. */
  readonly shown: readonly ShownPiece[];
}

/** Whether an interrupted turn runs again; otherwise it ends as interrupted. */
export function isRunAgain({ touched, attempts }: CutTurn, policy: OnInterruptedTurn): boolean {
  if (attempts >= MOST_ATTEMPTS) return false;
  return policy === "retry" || (policy === "retry_if_untouched" && !touched);
}

/**
 * Settles a turn that ran when the application died: what happens to the conversation, and the error that ends the turn
 * unless it runs again.
 *
 * The journal knows whether the turn had shown any output; the transcript may know what came after the journal's last
 * entry.
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
  // Output may have been shown that was not yet written.
  return { conversation, cut: { error, shown: touched ? [...shown, { type: "lost" }] : [] } };
}
