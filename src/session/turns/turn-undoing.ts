import type { TurnFailure } from "../../claude/messages/failure.ts";
import type { TurnResult } from "../../claude/messages/turn-result.ts";
import type { ConversationFate } from "../../errors.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { SessionConversation } from "../context/session-conversation.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import { type Decision, fateOf } from "./conversation-fate.ts";
import type { TurnsAtWork } from "./turns-at-work.ts";

/** How the process is done with a turn. */
export interface Outcome {
  readonly result: TurnResult;
  readonly failure: TurnFailure | undefined;
  readonly interrupted: boolean;
}

/** What is to become of a turn in the conversation when the process is done with it. */
export function decide({ record, displaced }: CurrentTurn, { result, failure, interrupted }: Outcome): Decision {
  const { touched, compaction } = record.progress;
  const succeeded = failure === undefined && !interrupted && result.answer !== undefined;
  return fateOf({
    // One that was faster than the wish to take it back has been answered, and stands.
    answered: succeeded && !(displaced === "rollback" && record.ended),
    touched,
    displaced,
    refusal: result.refusal(failure),
    compaction: compaction?.state,
    prompt: record.prompt,
  });
}

/** Takes turns out of the conversation: the process forgets them, or another one takes the conversation up. */
export class TurnUndoing {
  readonly #context: SessionContext;
  readonly #conversation: SessionConversation;
  readonly #work: TurnsAtWork;

  constructor(context: SessionContext, conversation: SessionConversation, work: TurnsAtWork) {
    this.#context = context;
    this.#conversation = conversation;
    this.#work = work;
  }

  /** Takes a turn of a caller out of the conversation, and ends it with `end` then, which is told what has become of it. */
  takeOut(current: CurrentTurn, { fate, suspect }: Decision, end: (fate: ConversationFate) => void): void {
    const { lastUuid, compaction } = current.record.progress;
    const { id } = this.#conversation.now;
    const summary = compaction?.summary;
    this.#conversation.take({ type: "turn_undone", freshId: this.#context.newId(), summary, suspect });
    const { activation } = this.#work;
    // A process would forget it, and keep the summary; what was said before is to be had from the transcript.
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
        // What Claude Code works on by now goes on from it.
        this.#conversation.take({ type: "turn_kept", lastUuid });
        this.#work.over(() => end("kept"));
        return;
      }
      this.#work.over(() => end(fate), { stale: rewound !== "done" && rewound !== "absent" });
    });
  }
}
