import { randomUUID } from "node:crypto";
import type {
  ModelUsage,
  SDKAssistantMessage,
  SDKMessage,
  SDKPartialAssistantMessage,
  SDKResultError,
  SDKResultSuccess,
  SDKUserMessage,
} from "@anthropic-ai/claude-agent-sdk";

type ApiMessage = SDKAssistantMessage["message"];
type Block = ApiMessage["content"][number];
type StreamEvent = SDKPartialAssistantMessage["event"];
type StreamDelta = Extract<StreamEvent, { type: "content_block_delta" }>["delta"];
type Started = Extract<StreamEvent, { type: "content_block_start" }>["content_block"];

/** The conversation of a message: by default the main one. */
export interface Place {
  readonly parent?: string;
}

const NO_USAGE: ApiMessage["usage"] = {
  cache_creation: null,
  cache_creation_input_tokens: null,
  cache_read_input_tokens: null,
  fallback_credit: null,
  inference_geo: null,
  input_tokens: 0,
  iterations: null,
  output_tokens: 0,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: null,
  speed: null,
};

export const SESSION = "8c0a4d0e-0000-4000-8000-000000000000";

export function textBlock(text: string): Block {
  return { type: "text", text, citations: null };
}

export function thinkingBlock(thinking: string): Block {
  return { type: "thinking", thinking, signature: "" };
}

export function toolBlock(id: string, name: string, input: unknown = {}): Block {
  return { type: "tool_use", id, name, input };
}

function apiMessage(id: string, content: Block[]): ApiMessage {
  return {
    id,
    type: "message",
    role: "assistant",
    model: "claude-fable-5",
    content,
    container: null,
    context_management: null,
    diagnostics: null,
    stop_details: null,
    stop_reason: null,
    stop_sequence: null,
    usage: NO_USAGE,
  };
}

export function assistant(id: string, content: Block[], { parent }: Place = {}): SDKAssistantMessage {
  return {
    type: "assistant",
    message: apiMessage(id, content),
    parent_tool_use_id: parent ?? null,
    uuid: randomUUID(),
    session_id: SESSION,
  };
}

export function user(
  content: SDKUserMessage["message"]["content"],
  { parent }: Place = {},
): SDKUserMessage & { uuid: string } {
  return {
    type: "user",
    message: { role: "user", content },
    parent_tool_use_id: parent ?? null,
    uuid: randomUUID(),
    session_id: SESSION,
  };
}

function streamed(event: StreamEvent, { parent }: Place = {}): SDKMessage {
  return { type: "stream_event", event, parent_tool_use_id: parent ?? null, uuid: randomUUID(), session_id: SESSION };
}

export function messageStart(id: string, place: Place = {}): SDKMessage {
  return streamed({ type: "message_start", message: apiMessage(id, []) }, place);
}

export function blockStart(block: Started, place: Place = {}): SDKMessage {
  return streamed({ type: "content_block_start", index: 0, content_block: block }, place);
}

export function blockDelta(delta: StreamDelta, place: Place = {}): SDKMessage {
  return streamed({ type: "content_block_delta", index: 0, delta }, place);
}

export function textDelta(text: string, place: Place = {}): SDKMessage {
  return blockDelta({ type: "text_delta", text }, place);
}

/** A message without content. */
export function keepAlive(): SDKMessage {
  return { type: "system", subtype: "status", status: "requesting", uuid: randomUUID(), session_id: SESSION };
}

/** A failed compaction. */
export function notCompacted(): SDKMessage {
  return {
    type: "system",
    subtype: "status",
    status: null,
    compact_result: "failed",
    compact_error: "exhausted",
    uuid: randomUUID(),
    session_id: SESSION,
  };
}

/** The end of a compaction, before its summary. */
export function boundary(): SDKMessage {
  return {
    type: "system",
    subtype: "compact_boundary",
    compact_metadata: { trigger: "auto", pre_tokens: 100 },
    uuid: randomUUID(),
    session_id: SESSION,
  };
}

const COUNTED: Omit<SDKResultSuccess, "subtype" | "result"> = {
  type: "result",
  duration_ms: 1,
  duration_api_ms: 1,
  is_error: false,
  num_turns: 1,
  stop_reason: "end_turn",
  total_cost_usd: 0,
  usage: {
    ...NO_USAGE,
    cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    inference_geo: "",
    iterations: [],
    output_tokens_details: { thinking_tokens: 0 },
    server_tool_use: { web_fetch_requests: 0, web_search_requests: 0 },
    service_tier: "standard",
    speed: "standard",
  },
  modelUsage: {},
  permission_denials: [],
  terminal_reason: "completed",
  uuid: "00000000-0000-4000-8000-000000000000",
  session_id: SESSION,
};

export function success(fields: Partial<SDKResultSuccess> = {}): SDKResultSuccess {
  return { ...COUNTED, subtype: "success", result: "done", ...fields };
}

export function failure(subtype: SDKResultError["subtype"], fields: Partial<SDKResultError> = {}): SDKResultError {
  return { ...COUNTED, is_error: true, errors: [], ...fields, subtype };
}

export function usageOf(costUSD: number, inputTokens: number, outputTokens: number): ModelUsage {
  return {
    costUSD,
    inputTokens,
    outputTokens,
    cacheReadInputTokens: 0,
    cacheCreationInputTokens: 0,
    webSearchRequests: 0,
    contextWindow: 200_000,
    maxOutputTokens: 32_000,
  };
}
