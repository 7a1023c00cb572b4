import { randomUUID } from "node:crypto";
import { assistantMessage, type FakeBlock, type FakeEcho, streamEvent } from "./fake-messages.ts";
import type { WireObject } from "./fake-wire.ts";

/** The receiver of an answer, and facts of its process. */
export interface FakeAnswerSink {
  readonly model: string;
  readonly partialMessages: boolean;
  /** Sends a message. Returns its uuid. */
  send(message: WireObject): string;
  /** Called for each completed text. */
  onText(uuid: string, text: string): void;
}

interface OpenText {
  readonly kind: "text" | "thinking";
  text: string;
}

/** The model's output in a turn: API messages of content blocks, streamed in pieces if the session requests it. */
export class FakeAnswer {
  /** The ids of the started API messages. */
  readonly apiMessageIds: string[] = [];
  /** The last completed text. */
  lastText = "";
  #characters = 0;
  readonly #sink: FakeAnswerSink;
  readonly #userMessageUuid: string | undefined;
  #echo: FakeEcho | undefined;
  #startEcho: FakeEcho | undefined;
  #messageId: string | undefined;
  #index = 0;
  #open: OpenText | undefined;

  constructor(sink: FakeAnswerSink, echo: FakeEcho) {
    this.#sink = sink;
    this.#userMessageUuid = echo.user_message_uuid;
    this.#echo = echo;
    this.#startEcho = echo;
  }

  /** The number of output characters, including unfinished text. */
  get characters(): number {
    return this.#characters;
  }

  piece(kind: OpenText["kind"], text: string): void {
    const block = this.#openBlock(kind);
    block.text += text;
    this.#characters += text.length;
    if (kind === "thinking") this.#thinkingTokens(block, text);
    const delta = kind === "text" ? { type: "text_delta", text } : { type: "thinking_delta", thinking: text };
    this.#event({ type: "content_block_delta", index: this.#index, delta }, kind === "thinking");
  }

  /** Adds text to the block without streaming it. */
  appendUnstreamed(kind: OpenText["kind"], text: string): void {
    this.#openBlock(kind).text += text;
    this.#characters += text.length;
  }

  /** Closes the open block, if any. */
  closeBlock(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    if (open.kind === "thinking") {
      const delta = { type: "signature_delta", signature: SIGNATURE };
      this.#event({ type: "content_block_delta", index: this.#index, delta });
      const block = { type: "thinking", thinking: open.text, signature: SIGNATURE };
      this.#finish(block, { thinking_duration_ms: 0, thinking_display: "updates" });
      return;
    }
    this.lastText = open.text;
    const uuid = this.#finish({ type: "text", text: open.text });
    this.#sink.onText(uuid, open.text);
  }

  toolUse(id: string, name: string, input: WireObject): void {
    this.closeBlock();
    this.#openMessage();
    this.#event({
      type: "content_block_start",
      index: this.#index,
      content_block: { type: "tool_use", id, name, input: {} },
    });
    this.#event({
      type: "content_block_delta",
      index: this.#index,
      delta: { type: "input_json_delta", partial_json: JSON.stringify(input) },
    });
    const [prefix, server, tool] = name.split("__");
    const meta = { id, display_name: tool, server_display_name: server, tool_name: tool };
    this.#finish({ type: "tool_use", id, name, input }, prefix === "mcp" ? { tool_use_meta: [meta] } : {});
  }

  /** Ends the open API message, if any. */
  closeMessage(stopReason: string | null): void {
    this.closeBlock();
    if (this.#messageId === undefined) return;
    this.#event({
      type: "message_delta",
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: { output_tokens: Math.ceil(this.#characters / 4) },
    });
    this.#event({ type: "message_stop" });
    this.#messageId = undefined;
  }

  /** Sends the unfinished text of an interrupted block as a message. Returns whether a block was open. */
  abort(): boolean {
    const open = this.#open;
    this.#open = undefined;
    if (open?.kind === "text" && open.text !== "") {
      const uuid = this.#sink.send({ ...this.#assistant({ type: "text", text: open.text }), aborted: true });
      this.#sink.onText(uuid, open.text);
    }
    return open !== undefined;
  }

  /** Ends the stream of an interrupted API message. */
  abandon(blockOpen: boolean): void {
    if (this.#messageId === undefined || !this.#sink.partialMessages) return;
    if (blockOpen) {
      this.#event({ type: "content_block_stop", index: this.#index });
      this.#index += 1;
    }
    const nothing = { container: null, stop_details: null, stop_reason: null, stop_sequence: null };
    this.#event({ type: "message_delta", context_management: null, delta: nothing, usage: { output_tokens: 0 } });
    const abandoned_blocks = { api_message_id: this.#messageId, from_block_index: this.#index };
    this.#sink.send({ ...streamEvent(this.#messageId, { type: "message_stop" }), abandoned_blocks });
    this.#messageId = undefined;
  }

  #openBlock(kind: OpenText["kind"]): OpenText {
    if (this.#open?.kind === kind) return this.#open;
    this.closeBlock();
    this.#openMessage();
    const content_block =
      kind === "text" ? { type: "text", text: "" } : { type: "thinking", thinking: "", signature: "" };
    this.#event({ type: "content_block_start", index: this.#index, content_block }, kind === "thinking");
    this.#open = { kind, text: "" };
    return this.#open;
  }

  #openMessage(): void {
    if (this.#messageId !== undefined) return;
    const id = `msg_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
    this.#messageId = id;
    this.#index = 0;
    this.apiMessageIds.push(id);
    const echo = this.#startEcho;
    this.#startEcho = undefined;
    if (!this.#sink.partialMessages) return;
    this.#sink.send({
      ...streamEvent(id, {
        type: "message_start",
        message: {
          id,
          type: "message",
          role: "assistant",
          content: [],
          model: this.#sink.model,
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: 0, output_tokens: 0 },
        },
      }),
      ttft_ms: 0,
      thinking_display: "updates",
      ...(echo === undefined ? {} : { ...echo, owed_rows: [] }),
    });
  }

  #finish(block: FakeBlock, facts: WireObject = {}): string {
    // The real process sends the message before the end of its block.
    const uuid = this.#sink.send({ ...this.#assistant(block), ...facts });
    this.#event({ type: "content_block_stop", index: this.#index });
    this.#index += 1;
    return uuid;
  }

  #assistant(block: FakeBlock): WireObject {
    const echo = this.#echo;
    this.#echo = undefined;
    return assistantMessage(this.#messageId ?? "", this.#sink.model, block, echo);
  }

  /** Sends the event to every session, streaming or not. */
  #thinkingTokens(block: OpenText, text: string): void {
    const estimated_tokens = Math.ceil(block.text.length / 4);
    this.#sink.send({
      type: "system",
      subtype: "thinking_tokens",
      estimated_tokens,
      estimated_tokens_delta: estimated_tokens - Math.ceil((block.text.length - text.length) / 4),
      user_message_uuid: this.#userMessageUuid,
    });
  }

  #event(event: WireObject, thinking = false): void {
    if (!this.#sink.partialMessages) return;
    const message = streamEvent(this.#messageId ?? "", event);
    this.#sink.send(thinking ? { ...message, thinking_display: "updates" } : message);
  }
}

const SIGNATURE = "fake-signature";
