import { messageOf } from "../../claude/messages/block-reader.ts";
import { type Part, PartReader } from "../../claude/messages/parts.ts";
import type { Delta, ShownPiece } from "../../claude/messages/shown.ts";
import { type ToolResult, textOfOutput } from "../../claude/messages/tools.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { SessionEvent } from "../record/session-event-types.ts";
import { NOT_KEPT, type OutputEvent } from "./recorded-output.ts";
import type { Reply } from "./reply.ts";
import { isStop, type ResponseView, shownError, shownReply } from "./response-view.ts";
import { type ShownApproval, shownApproval, shownApprovalEnd } from "./shown-approval.ts";
import type { NumberedMessage } from "./turn-reader.ts";
import type { Tool, TurnMetadata, UIMessageChunk } from "./ui-message-chunk.ts";
import { finishReasonOf } from "./ui-message-chunk.ts";

type Chunks = Generator<UIMessageChunk, void, undefined>;

/**
 * Converts one turn, from its beginning, to an assistant message of the AI SDK: one step per API message, with its
 * text, thinking and tool calls, and the outputs of those tools.
 *
 * When an interrupted turn runs again, its current step is taken back. The AI SDK cannot take back more, so earlier
 * steps stay.
 *
 * Subagents are left out: the AI SDK has no tools within tools and would show their output as Claude's own.
 */
export class UIMessageStream {
  readonly #metadata: TurnMetadata;
  readonly #view: ResponseView;
  readonly #reader = new PartReader();
  /** The ids of called tools without an output. */
  readonly #called = new Set<string>();
  /** The turn's approvals, by their ids. */
  readonly #approvals = new Map<string, ShownApproval>();
  /** The ids of the pending approvals of tools that the page does not know of yet, by tool. */
  readonly #asked = new Map<string, string>();
  /** The attempt being read. */
  #attempt = 1;
  #isReplayed = false;
  /** The API message being read. Its step begins with its first chunk, so that no step is empty. */
  #message = "";
  #step: "none" | "taken back" | { readonly of: string } = "none";
  /** The part being written. */
  #part: { readonly type: Delta["type"] | "tool"; readonly id: string } | undefined;
  #parts = 0;

  constructor(turn: { readonly id: string; readonly session: SessionName }, view: ResponseView) {
    this.#metadata = { session: turn.session, turnId: turn.id };
    this.#view = view;
  }

  *start(): Chunks {
    yield { type: "start", messageId: this.#metadata.turnId, messageMetadata: this.#metadata };
  }

  *read({ message, attempt }: Pick<NumberedMessage, "message" | "attempt">): Chunks {
    if (attempt !== this.#attempt) yield* this.#retry(attempt);
    for (const part of this.#reader.read(message)) yield* this.#tell(part);
  }

  /** Yields what an event says of an approval. */
  *approval(event: SessionEvent): Chunks {
    const requested = shownApproval(event);
    if (requested !== undefined) {
      const { id, toolUseId } = requested;
      this.#approvals.set(id, requested);
      yield { type: "data-approval", id, data: requested };
      if (toolUseId === undefined) return;
      this.#asked.set(toolUseId, id);
      if (this.#called.has(toolUseId)) yield* this.#ask(toolUseId);
    }
    const settled = shownApprovalEnd(event);
    const known = settled === undefined ? undefined : this.#approvals.get(settled.id);
    if (settled === undefined || known === undefined) return;
    if (known.toolUseId !== undefined) this.#asked.delete(known.toolUseId);
    yield { type: "data-approval", id: known.id, data: { ...known, ...settled } };
  }

  /** Yields an event of the turn's record. The first one has the last attempt. */
  *replay(event: OutputEvent, attempt: number): Chunks {
    if (!this.#isReplayed) this.#attempt = attempt;
    this.#isReplayed = true;
    if (attempt !== this.#attempt) yield* this.#retry(attempt);
    if (event.type === "lost") {
      yield* this.#endPart();
      yield { type: "data-lost", data: { code: "EVENTS_LOST" } };
    } else for (const part of partsOf(event)) yield* this.#tell(part);
  }

  /** Yields a recalled turn with this known output. The outputs of its tools are not known. */
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
        // In a completed turn every tool has answered.
        if (completed) yield { type: "tool-output-available", ...tool(piece.id), output: NOT_KEPT };
      }
    }
  }

  *complete(reply: Reply): Chunks {
    yield* this.#endPart();
    if (this.#step !== "none") yield { type: "finish-step" };
    const { usage, costUsd, stopReason, command } = shownReply(reply, this.#view);
    const messageMetadata = { ...this.#metadata, stopReason, ...withoutUndefined({ usage, costUsd, command }) };
    yield { type: "finish", finishReason: finishReasonOf(stopReason), messageMetadata };
  }

  *fail(error: unknown): Chunks {
    yield* this.#endPart();
    const { message } = shownError(error, this.#view);
    if (wasStopped(error)) yield { type: "abort", reason: message };
    else yield { type: "error", errorText: message };
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
        yield* this.#inStep({ type: "tool-input-available", ...tool(id), toolName: name, input });
        return yield* this.#ask(id);
      }
      case "tool_result":
        return yield* this.#answer(part);
    }
  }

  /** Marks a tool that waits for an approval. A page fails on the mark of a tool whose call it has not seen. */
  *#ask(toolCallId: string): Chunks {
    const approvalId = this.#asked.get(toolCallId);
    if (approvalId === undefined) return;
    this.#asked.delete(toolCallId);
    yield { type: "tool-approval-request", approvalId, toolCallId };
  }

  *#turnTo(message: string): Chunks {
    if (message === this.#message) return;
    yield* this.#endPart();
    this.#message = message;
  }

  *#write(type: Delta["type"], delta: string): Chunks {
    // Claude sends hidden thinking as empty text.
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
    // A page fails on the output of a tool whose call it has not seen.
    if (!this.#called.delete(id)) return;
    if (failed) yield { type: "tool-output-error", ...tool(id), errorText: textOfOutput(output) };
    else yield { type: "tool-output-available", ...tool(id), output };
  }
}

function tool(toolCallId: string): Tool {
  return { toolCallId, dynamic: true, providerExecuted: true };
}

/** Returns the parts of an event of the record. Subagents have none. */
function partsOf(event: Exclude<OutputEvent, { readonly type: "lost" }>): Part[] {
  if (event.parent !== undefined) return [];
  switch (event.type) {
    case "text":
    case "thinking": {
      const { type, text, block } = event;
      return [{ type: "message", id: messageOf(block) }, { type: "block" }, { type, text }, { type: "block" }];
    }
    case "tool_use": {
      const { type, id, name, input, message } = event;
      const begun: Part[] = message === undefined ? [] : [{ type: "message", id: message }];
      return [...begun, { type: "block" }, { type, id, name, input }];
    }
    case "tool_result": {
      const { type, toolUseId: id, failed } = event;
      // What the process sent was text, or blocks of the Messages API.
      const output = event.output as ToolResult["output"];
      return [{ type, id, output, failed, data: undefined }];
    }
  }
}

/** Whether a caller stopped the turn. */
function wasStopped(error: unknown): boolean {
  return CastellanError.is(error, "TURN_CANCELLED") || (CastellanError.is(error, "TURN_INTERRUPTED") && isStop(error));
}
