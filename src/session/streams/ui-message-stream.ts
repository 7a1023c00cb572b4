import { type Part, PartReader } from "../../claude/messages/parts.ts";
import type { Delta, ShownPiece } from "../../claude/messages/shown.ts";
import { type ToolResult, textOfOutput } from "../../claude/messages/tools.ts";
import { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import { finishReasonOf } from "./finish-reason.ts";
import type { Reply } from "./reply.ts";
import type { NumberedMessage } from "./turn-reader.ts";
import type { Tool, TurnMetadata, UIMessageChunk } from "./ui-message-chunk.ts";

type Chunks = Generator<UIMessageChunk, void, undefined>;

/** In the place of what a tool answered in a turn that was recalled. */
const NOT_KEPT = "(the answer of this tool is no longer kept)";

/**
 * Tells a turn as the one assistant message of the AI SDK that it is: a step for each message of the API, in it the text,
 * the thinking and the tools, and in the same step what the tools answered. One of it tells one turn from its beginning.
 *
 * When a turn that was cut is run again, the step that it was in is taken back. The AI SDK can take back no more than that:
 * what came in steps before it stays.
 *
 * Of subagents nothing is told: the AI SDK has no place for a tool within a tool, and would take theirs for Claude's own.
 */
export class UIMessageStream {
  readonly #metadata: TurnMetadata;
  readonly #reader = new PartReader();
  /** Ids of the tools that have been called and have not answered. */
  readonly #called = new Set<string>();
  /** Which try of the turn is being read. */
  #attempt = 1;
  /** The message of the API that is being read; its step begins with the first chunk of it, so that no step is empty. */
  #message = "";
  #step: "none" | "taken back" | { readonly of: string } = "none";
  /** What is being written. */
  #part: { readonly type: Delta["type"] | "tool"; readonly id: string } | undefined;
  #parts = 0;

  constructor(turn: { readonly id: string; readonly session: SessionName }) {
    this.#metadata = { session: turn.session, turnId: turn.id };
  }

  *start(): Chunks {
    yield { type: "start", messageId: this.#metadata.turnId, messageMetadata: this.#metadata };
  }

  *read({ message, attempt }: Pick<NumberedMessage, "message" | "attempt">): Chunks {
    if (attempt !== this.#attempt) yield* this.#retry(attempt);
    for (const part of this.#reader.read(message)) yield* this.#tell(part);
  }

  /** A turn of which only this is known, besides what came of it. What its tools answered is not. */
  *recall(shown: readonly ShownPiece[], completed: boolean): Chunks {
    for (const piece of shown) {
      if (piece.type === "lost") {
        yield* this.#endPart();
        yield { type: "data-lost", data: { code: "EVENTS_LOST" } };
      } else if (piece.type !== "tool_use") yield* this.#write(piece.type, piece.text);
      else if (piece.parentToolUseId === undefined) {
        yield* this.#endPart();
        yield* this.#inStep({
          type: "tool-input-available",
          ...tool(piece.id),
          toolName: piece.name,
          input: piece.input,
        });
        // Of a turn that completed each tool has answered.
        if (completed) yield { type: "tool-output-available", ...tool(piece.id), output: NOT_KEPT };
      }
    }
  }

  *complete({ usage, costUsd, stopReason, command }: Reply): Chunks {
    yield* this.#endPart();
    if (this.#step !== "none") yield { type: "finish-step" };
    const told = command === undefined ? {} : { command };
    const messageMetadata = { ...this.#metadata, usage, costUsd, stopReason, ...told };
    yield { type: "finish", finishReason: finishReasonOf(stopReason), messageMetadata };
  }

  *fail(error: unknown): Chunks {
    yield* this.#endPart();
    if (wasStopped(error)) yield { type: "abort", reason: error.message };
    else yield { type: "error", errorText: CastellanError.is(error) ? error.message : "internal error" };
  }

  *#retry(attempt: number): Chunks {
    this.#attempt = attempt;
    this.#called.clear();
    yield* this.#endPart();
    if (this.#step === "none") return;
    this.#step = "taken back";
    yield { type: "reset-step" };
  }

  *#tell(part: Part): Chunks {
    switch (part.type) {
      case "message":
        return yield* this.#turnTo(part.id);
      case "block":
        return yield* this.#endPart();
      case "text":
      case "thinking":
        return yield* this.#write(part.type, part.text);
      case "tool_begun":
        this.#part = { type: "tool", id: part.id };
        return yield* this.#inStep({ type: "tool-input-start", ...tool(part.id), toolName: part.name });
      case "tool_input":
        if (this.#part?.type !== "tool" || part.json === "") return;
        return yield { type: "tool-input-delta", toolCallId: this.#part.id, inputTextDelta: part.json };
      case "tool_use": {
        const { id, name, input } = part;
        this.#called.add(id);
        return yield* this.#inStep({ type: "tool-input-available", ...tool(id), toolName: name, input });
      }
      case "tool_result":
        return yield* this.#answer(part);
    }
  }

  *#turnTo(message: string): Chunks {
    if (message === this.#message) return;
    yield* this.#endPart();
    this.#message = message;
  }

  *#write(type: Delta["type"], delta: string): Chunks {
    // Where its thinking is not to be seen, Claude sends it empty.
    if (delta === "") return;
    const kind = type === "text" ? "text" : "reasoning";
    if (this.#part?.type !== type) {
      yield* this.#endPart();
      this.#part = { type, id: `${kind}-${this.#parts++}` };
      yield* this.#inStep({ type: `${kind}-start`, id: this.#part.id });
    }
    yield { type: `${kind}-delta`, id: this.#part.id, delta };
  }

  *#endPart(): Chunks {
    const part = this.#part;
    this.#part = undefined;
    if (part?.type === "text") yield { type: "text-end", id: part.id };
    if (part?.type === "thinking") yield { type: "reasoning-end", id: part.id };
  }

  *#inStep(chunk: UIMessageChunk): Chunks {
    const step = this.#step;
    if (typeof step === "string" || step.of !== this.#message) {
      if (typeof step !== "string") yield { type: "finish-step" };
      if (step !== "taken back") yield { type: "start-step" };
      this.#step = { of: this.#message };
    }
    yield chunk;
  }

  *#answer({ id, output, failed }: ToolResult): Chunks {
    // A page fails on the answer of a tool that it has not seen called.
    if (!this.#called.delete(id)) return;
    if (failed) yield { type: "tool-output-error", ...tool(id), errorText: textOfOutput(output) };
    else yield { type: "tool-output-available", ...tool(id), output };
  }
}

function tool(toolCallId: string): Tool {
  return { toolCallId, dynamic: true, providerExecuted: true };
}

/** Whether somebody wanted this very turn to stop. One that was cut by what happened to its session is an error. */
function wasStopped(error: unknown): error is CastellanError {
  if (CastellanError.is(error, "TURN_CANCELLED")) return true;
  return (
    CastellanError.is(error, "TURN_INTERRUPTED") && error.details.exit === undefined && !CastellanError.is(error.cause)
  );
}
