import type { Compaction } from "../../claude/messages/compaction.ts";
import type { ContentRefusal } from "../../claude/messages/content-refusal.ts";
import type { ConversationFate } from "../../errors.ts";

/** A turn as known when the process is done with it. */
export interface FinishedTurn {
  /** Whether it ended as requested. */
  readonly answered: boolean;
  /** Whether Claude had begun to answer or to act. */
  readonly touched: boolean;
  /** How another turn replaced it, if one did. */
  readonly displaced: "interrupt" | "rollback" | undefined;
  /** The content of its request that the API rejects, if it failed because of that. */
  readonly refusal: ContentRefusal | undefined;
  readonly compaction: Compaction["state"] | undefined;
  readonly prompt: string;
  /** Whether the prompt has content besides its text. Default `false`. */
  readonly hasBlocks?: boolean;
}

/** The turn's fate, and whether earlier content has to go too. */
export interface Decision {
  readonly fate: ConversationFate;
  /** Whether the API would reject the conversation even without this turn. */
  readonly suspect: boolean;
}

/** Prompts with fewer characters, in any script, cannot be why a request is too long. */
const SHORT = 20_000;

/**
 * Decides a turn's fate in the conversation.
 *
 * A turn that Claude had not begun to answer is undone: otherwise a retry would show the model the prompt twice. A turn
 * that had begun is kept as far as it came, because its tools have acted. Only content that the API rejects cannot
 * stay, because every later request would include it. If the turn's first request succeeded and a later one was
 * rejected, the turn brought the content in, so the conversation is cut back to before it. If the first request was
 * rejected and the prompt cannot be the reason, an earlier turn brought it in.
 */
export function fateOf({ answered, touched, displaced, refusal, ...request }: FinishedTurn): Decision {
  if (answered) return { fate: "kept", suspect: false };
  if (displaced === "rollback") return { fate: "undone", suspect: false };
  // The turn that replaces it continues from it.
  if (displaced === "interrupt" && refusal === undefined) return { fate: "kept", suspect: false };
  if (touched) return { fate: refusal === undefined ? "kept" : "cut_back", suspect: false };
  const suspect = refusal !== undefined && isOfEarlier(refusal, request);
  return { fate: suspect ? "cut_back" : "undone", suspect };
}

/** Whether the rejected content cannot have come with the prompt. */
function isOfEarlier(
  refusal: ContentRefusal,
  { compaction, prompt, hasBlocks = false }: Pick<FinishedTurn, "compaction" | "prompt" | "hasBlocks">,
): boolean {
  // A path after an @ may have included a file.
  const isPlain = !hasBlocks && prompt.length < SHORT && !prompt.includes("@");
  switch (refusal) {
    case "structure":
      return true;
    case "media":
      return isPlain;
    case "length":
      // Without a compaction, which the application may have disabled, the conversation is full rather than damaged.
      return isPlain && compaction !== undefined;
    case "other":
      return false;
  }
}
