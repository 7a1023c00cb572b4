import type { Answer } from "../../claude/messages/turn-result.ts";
import type { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { Spending, Usage } from "../../journal/model/spending.ts";

/** What came of a turn. */
export type TurnEnd =
  | {
      readonly reply: Reply;
      /** The answer as data as Claude gave it, before a schema read it. */
      readonly output: unknown;
    }
  | { readonly error: CastellanError };

/** What a finished turn returns. */
export interface Reply<Structured = unknown> {
  /**
   * What Claude answered: the text after its last tool use, which is empty if the model had nothing to say. Of a command that says
   * nothing of what it did, such as `/compact`, a sentence that it was done.
   */
  readonly text: string;
  /** The command of Claude Code's own that has answered in the place of the model: `compact`, `clear`, `context`, … */
  readonly command?: string;
  /** The answer as data, if the session has an `outputSchema` or `outputFormat`. */
  readonly structured?: Structured;
  /** Tokens of this turn, over all models and subagents. */
  readonly usage: Usage;
  /** US dollars of this turn, as Claude Code estimates them. Not a bill. */
  readonly costUsd: number;
  /** Claude's id of the conversation. */
  readonly sessionId: string;
  readonly turnId: string;
  /** Why the model stopped, as in the Messages API: `end_turn`, `max_tokens`, … */
  readonly stopReason: string | null;
  /** From the moment that the process got the prompt to the end of the answer, in milliseconds. */
  readonly durationMs: number;
}

export function replyOf(
  { text, command, conversationId, stopReason }: Answer,
  turn: { readonly id: string; readonly spent: Spending; readonly durationMs: number; readonly structured: unknown },
): Reply {
  return {
    text,
    ...withoutUndefined({ command, structured: turn.structured }),
    ...turn.spent,
    sessionId: conversationId,
    turnId: turn.id,
    stopReason,
    durationMs: turn.durationMs,
  };
}
