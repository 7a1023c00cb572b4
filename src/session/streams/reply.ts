import type { Answer } from "../../claude/messages/turn-result.ts";
import type { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { type ModelSpending, sumOf, type Usage } from "../../journal/model/spending.ts";

/** A turn's end: its reply or its error. */
export type TurnEnd =
  | {
      readonly reply: Reply;
      /** The structured answer as Claude gave it, before a schema parsed it. */
      readonly output: unknown;
    }
  | { readonly error: CastellanError };

/** The result of a completed turn. */
export interface Reply<Structured = unknown> {
  /**
   * Claude's answer: the text after its last tool use; empty if the model wrote none. For a command that reports
   * nothing, such as `/compact`, a sentence that it was done.
   */
  readonly text: string;
  /** The built-in command that answered instead of the model: `compact`, `clear`, `context`, … */
  readonly command?: string;
  /** The structured answer, if the session has an `outputSchema` or `outputFormat`. */
  readonly structured?: Structured;
  /** The tokens of this turn, over all models and subagents. */
  readonly usage: Usage;
  /** The cost of this turn in US dollars, as Claude Code estimates it. Not a bill. */
  readonly costUsd: number;
  /**
   * The model that wrote the answer, by the name that the API gave. Left out if a command answered instead of a model.
   */
  readonly model?: string;
  /** The tokens and the cost of this turn by model, by Claude Code's names. Subagents and summaries may use others. */
  readonly models: readonly ModelSpending[];
  /** Claude's id of the conversation. */
  readonly sessionId: string;
  readonly turnId: string;
  /** Why the model stopped, as in the Messages API: `end_turn`, `max_tokens`, … */
  readonly stopReason: string | null;
  /** Milliseconds from the moment the process got the prompt to the end of the answer. */
  readonly durationMs: number;
}

export function replyOf(
  { text, command, conversationId, stopReason }: Answer,
  turn: {
    readonly id: string;
    readonly model: string | undefined;
    readonly models: readonly ModelSpending[];
    readonly durationMs: number;
    readonly structured: unknown;
  },
): Reply {
  return {
    text,
    ...withoutUndefined({ command, structured: turn.structured, model: turn.model }),
    ...sumOf(turn.models),
    models: turn.models,
    sessionId: conversationId,
    turnId: turn.id,
    stopReason,
    durationMs: turn.durationMs,
  };
}
