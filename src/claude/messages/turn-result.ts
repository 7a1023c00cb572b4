import type { SDKAssistantMessageError, SDKMessage, SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ModelSpending } from "../../journal/model/spending.ts";
import { type ContentRefusal, contentRefusalOf } from "./content-refusal.ts";
import { spentBy, type Totals, totalsOf } from "./cost.ts";
import { commandFailureOf, failureOf, type TurnFailure, wasInterrupted } from "./failure.ts";
import { answerOf } from "./local-command.ts";
import type { Progress } from "./progress.ts";

/** A turn's answer. */
export interface Answer {
  readonly text: string;
  /** The built-in command that answered in the model's place. */
  readonly command: string | undefined;
  /** The structured answer, before a schema parses it. */
  readonly data: unknown;
  readonly conversationId: string;
  readonly stopReason: string | null;
}

/** The message that ends a turn. */
export class TurnResult {
  readonly #message: SDKResultMessage;

  constructor(message: SDKResultMessage) {
    this.#message = message;
  }

  /** The answer; `undefined` if Claude Code reports an error. An API error counts as an answer here, see `failure`. */
  get answer(): Answer | undefined {
    const message = this.#message;
    if (message.subtype !== "success") return undefined;
    return {
      text: answerOf(message),
      command: message.local_command,
      data: message.structured_output,
      conversationId: message.session_id,
      stopReason: message.stop_reason,
    };
  }

  /** Whether the process interrupted the turn on request. */
  get interrupted(): boolean {
    return wasInterrupted(this.#message);
  }

  /** The running totals of the process. */
  get totals(): Totals {
    return totalsOf(this.#message);
  }

  /** What the turn cost, by model. @param before the running totals of the result before this one */
  spentSince(before: Totals): ModelSpending[] {
    return spentBy(this.#message, before);
  }

  /** Why the turn failed, or undefined. */
  failure({ error }: { readonly error: SDKAssistantMessageError | undefined }): TurnFailure | undefined {
    return failureOf(this.#message, error);
  }

  /** Why a built-in command failed; `undefined` if it did not, or the turn ran none. */
  commandFailure(progress: Progress): TurnFailure | undefined {
    return commandFailureOf(this.#message, progress);
  }

  /** The content that the API rejects, if that is why the turn failed. */
  refusal(failure: TurnFailure | undefined): ContentRefusal | undefined {
    return contentRefusalOf(this.#message, failure);
  }
}

/** Returns the result of a turn if `message` is one. */
export function turnResultOf(message: SDKMessage): TurnResult | undefined {
  return message.type === "result" ? new TurnResult(message) : undefined;
}
