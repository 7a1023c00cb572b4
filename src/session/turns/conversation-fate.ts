import type { Compaction } from "../../claude/messages/compaction.ts";
import type { ContentRefusal } from "../../claude/messages/content-refusal.ts";
import type { ConversationFate } from "../../errors.ts";

/** What is known of a turn when the process is done with it. */
export interface FinishedTurn {
  /** Whether it has come to the end that was asked for. */
  readonly answered: boolean;
  /** Whether Claude had begun to answer or to act. */
  readonly touched: boolean;
  /** How another turn has taken its place, if one has. */
  readonly displaced: "interrupt" | "rollback" | undefined;
  /** What of its request the API refuses, if it failed for that. */
  readonly refusal: ContentRefusal | undefined;
  readonly compaction: Compaction["state"] | undefined;
  readonly prompt: string;
}

/** What becomes of it, and whether what was said before it is to go too. */
export interface Decision {
  readonly fate: ConversationFate;
  /** Whether the API refuses what stands in the conversation without this turn as well. */
  readonly suspect: boolean;
}

/** A prompt of fewer characters, in whatever script, is not what makes a request too long. */
const SHORT = 20_000;

/**
 * What becomes of a turn in the conversation.
 *
 * A turn that Claude had not begun to answer is taken out: whoever asks again would otherwise have the model see the prompt twice.
 * One that had begun stands as far as it came, since what its tools have done is done. Only what the API refuses cannot stay,
 * because every later request would carry it along. A first request that was taken, and a later one that was not, differ in what
 * the turn has brought in; so it goes, and the conversation is cut back. Where the first request is refused already and the
 * prompt cannot be the reason, a turn before has brought it in.
 */
export function fateOf({ answered, touched, displaced, refusal, ...request }: FinishedTurn): Decision {
  if (answered) return { fate: "kept", suspect: false };
  if (displaced === "rollback") return { fate: "undone", suspect: false };
  // The turn that takes its place goes on from it.
  if (displaced === "interrupt" && refusal === undefined) return { fate: "kept", suspect: false };
  if (touched) return { fate: refusal === undefined ? "kept" : "cut_back", suspect: false };
  const suspect = refusal !== undefined && isOfEarlier(refusal, request);
  return { fate: suspect ? "cut_back" : "undone", suspect };
}

/** Whether what the API refuses cannot have come with the prompt. */
function isOfEarlier(
  refusal: ContentRefusal,
  { compaction, prompt }: Pick<FinishedTurn, "compaction" | "prompt">,
): boolean {
  // A path after an @ may have brought in a file.
  const isPlain = prompt.length < SHORT && !prompt.includes("@");
  switch (refusal) {
    case "structure":
      return true;
    case "media":
      return isPlain;
    case "length":
      // Without a compaction, which an application may have switched off, it is full and not broken.
      return isPlain && compaction !== undefined;
    case "other":
      return false;
  }
}
