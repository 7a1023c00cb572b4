import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { MessagesBlock, MessagesBody } from "./messages-request.ts";

/** A reply of the model. */
export interface MessagesReply {
  /** The text before the tool uses. */
  readonly text?: string;
  readonly toolUses?: readonly { readonly name: string; readonly input: unknown; readonly id?: string }[];
  /** Content blocks of any kind, in place of `text` and `toolUses`. */
  readonly content?: readonly MessagesBlock[];
  /** Default: `tool_use` with a tool use, otherwise `end_turn`. */
  readonly stopReason?: string;
  /** Tokens; default 10 in and 5 out. */
  readonly usage?: Readonly<Record<string, number>>;
  /** The delay before the reply, in milliseconds. */
  readonly delayMs?: number;
  /** The number of stream events after which the connection breaks. Default: never. */
  readonly breaksAfter?: number;
}

/** An API error. */
export interface MessagesFailure {
  readonly error: {
    readonly status: number;
    readonly message: string;
    /** Default: the API's type for the status. */
    readonly type?: string;
  };
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

/** The answer to a request. `hangs` leaves it unanswered until the API stops, `breaks` closes its connection. */
export type MessagesAnswer = MessagesReply | MessagesFailure | "hangs" | "breaks";

/** https://docs.claude.com/en/api/errors */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  504: "timeout_error",
  529: "overloaded_error",
};

export async function sendAnswer(
  response: ServerResponse,
  answer: MessagesAnswer,
  { model, stream }: Pick<MessagesBody, "model" | "stream">,
  signal: AbortSignal,
): Promise<void> {
  if (answer === "hangs") return;
  if (answer === "breaks") {
    response.destroy();
    return;
  }
  if (answer.delayMs !== undefined) await delay(answer.delayMs, undefined, { signal, ref: false });
  if ("error" in answer) {
    const { status, message, type = ERROR_TYPES[status] ?? "api_error" } = answer.error;
    response.writeHead(status, { "content-type": "application/json", ...answer.headers });
    response.end(JSON.stringify({ type: "error", error: { type, message }, request_id: `req_${randomUUID()}` }));
    return;
  }
  if (stream !== true) {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(messageOf(answer, model)));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const events = eventsOf(answer, model);
  const { breaksAfter = events.length } = answer;
  for (const event of events.slice(0, breaksAfter)) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }
  if (breaksAfter < events.length) {
    // Flushes the written events before the connection closes.
    await new Promise((resolve) => response.write(": the connection breaks here\n\n", resolve));
    response.destroy();
    return;
  }
  response.end();
}

const USAGE = { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };

function contentOf({ text, toolUses = [], content }: MessagesReply): readonly MessagesBlock[] {
  if (content !== undefined) return content;
  const uses = toolUses.map(({ name, input, id = `toolu_${randomUUID().replaceAll("-", "")}` }) => ({
    type: "tool_use",
    id,
    name,
    input,
  }));
  return text === undefined ? uses : [{ type: "text", text }, ...uses];
}

function messageOf(reply: MessagesReply, model: string): Record<string, unknown> {
  const content = contentOf(reply);
  const uses = content.some(({ type }) => type === "tool_use");
  return {
    id: `msg_${randomUUID().replaceAll("-", "")}`,
    type: "message",
    role: "assistant",
    model,
    content,
    stop_reason: reply.stopReason ?? (uses ? "tool_use" : "end_turn"),
    stop_sequence: null,
    usage: { ...USAGE, ...reply.usage },
  };
}

/** https://docs.claude.com/en/docs/build-with-claude/streaming */
function eventsOf(reply: MessagesReply, model: string): MessagesBlock[] {
  const whole = messageOf(reply, model);
  const { stop_reason, usage } = whole;
  return [
    { type: "message_start", message: { ...whole, content: [], stop_reason: null } },
    ...contentOf(reply).flatMap((block, index) => [
      { type: "content_block_start", index, content_block: emptied(block) },
      ...piecesOf(block).map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ]),
    { type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage },
    { type: "message_stop" },
  ];
}

function emptied(block: MessagesBlock): MessagesBlock {
  if (block.type === "text") return { ...block, text: "" };
  if (block.type === "thinking") return { ...block, thinking: "", signature: "" };
  return block.type === "tool_use" ? { ...block, input: {} } : block;
}

/** Splits texts into words; keeps tool inputs whole. */
function piecesOf(block: MessagesBlock): Record<string, unknown>[] {
  if (block.type === "text") {
    const words = String(block["text"]).match(/\s*\S+|\s+$/g) ?? [];
    return words.map((text) => ({ type: "text_delta", text }));
  }
  if (block.type === "thinking") {
    return [
      { type: "thinking_delta", thinking: block["thinking"] },
      { type: "signature_delta", signature: block["signature"] ?? "" },
    ];
  }
  return block.type === "tool_use" ? [{ type: "input_json_delta", partial_json: JSON.stringify(block["input"]) }] : [];
}
