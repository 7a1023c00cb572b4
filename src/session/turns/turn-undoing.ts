import type { TurnFailure } from "../../claude/messages/failure.ts";
import type { TurnResult } from "../../claude/messages/turn-result.ts";
import type { ConversationFate } from "../../errors.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import { type Decision, fateOf } from "./conversation-fate.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** How the process finished a turn. */
export interface Outcome {
  readonly result: TurnResult;
  readonly failure: TurnFailure | undefined;
  readonly interrupted: boolean;
}

/** Decides a finished turn's fate in the conversation. */
export function decide({ record, displaced }: CurrentTurn, { result, failure, interrupted }: Outcome): Decision {
  const { touched, compaction } = record.progress;
  const succeeded = failure === undefined && !interrupted && result.answer !== undefined;
  return fateOf({
    // A turn that finished before it could be rolled back counts as answered and is kept.
    answered: succeeded && !(displaced === "rollback" && record.ended),
    touched,
    displaced,
    refusal: result.refusal(failure),
    compaction: compaction?.state,
    prompt: record.prompt,
    hasBlocks: record.promptBlocks !== undefined,
  });
}

/** Removes turns from the conversation: the process rewinds, or a new process resumes from an earlier message. */
export class TurnUndoing {
  readonly #context: SessionContext;
  readonly #conversation: SessionConversation;
  readonly #work: TurnsAtWork;

  constructor(context: SessionContext, conversation: SessionConversation, work: TurnsAtWork) {
    this.#context = context;
    this.#conversation = conversation;
    this.#work = work;
  }

  /** Removes a caller's turn from the conversation, then ends it with `end`, which receives its fate. */
  takeOut(current: CurrentTurn, { fate, suspect }: Decision, end: (fate: ConversationFate) => void): void {
    const { lastUuid, compaction } = current.record.progress;
    const { id } = this.#conversation.now;
    const summary = compaction?.summary;
    this.#conversation.take({ type: "turn_undone", freshId: this.#context.newId(), summary, suspect });
    const { activation } = this.#work;
    // A rewinding process would keep the summary; only the transcript has the earlier messages.
    const elsewhere = suspect || summary !== undefined || this.#conversation.now.id !== id;
    if (elsewhere || activation === undefined) {
      this.#work.over(() => end(fate), { stale: true });
      return;
    }
    current.stopping?.cancel();
    current.end = () => end(fate);
    void activation.rewind(current.uuid).then((rewound) => {
      if (this.#work.current !== current) return;
      if (rewound === "overtaken" && this.#work.unprompted.busy) {
        // Claude Code's current work builds on it.
        this.#conversation.take({ type: "turn_kept", lastUuid });
        this.#work.over(() => end("kept"));
        return;
      }
      this.#work.over(() => end(fate), { stale: rewound !== "done" && rewound !== "absent" });
    });
  }
}
