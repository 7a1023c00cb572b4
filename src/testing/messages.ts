import { randomUUID } from "node:crypto";
import type {
  SDKAssistantMessage,
  SDKPartialAssistantMessage,
  SDKResultError,
  SDKResultSuccess,
  SDKUserMessage,
} from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../fields.ts";

type Content = SDKAssistantMessage["message"]["content"][number];

/** The context of a message. */
export interface MessageFacts {
  /** Claude's id of the conversation. Default: a generated one. */
  readonly sessionId?: string;
  /** The tool use of the subagent that sends the message. Default: none. */
  readonly parentToolUseId?: string;
  /** Default: `"claude-opus-5-5"`. */
  readonly model?: string;
}

/** A tool use in a message. */
export interface ToolUseContent {
  readonly name: string;
  readonly input?: Readonly<Record<string, unknown>>;
  /** Default: a generated one. */
  readonly id?: string;
}

const SESSION_ID = "00000000-0000-4000-8000-000000000000";
const MODEL = "claude-opus-5-5";

const NO_USAGE: SDKResultSuccess["usage"] = {
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
  fallback_credit: null,
  inference_geo: "",
  iterations: [],
  output_tokens_details: { thinking_tokens: 0 },
  server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
  service_tier: "standard",
  speed: "standard",
};

/**
 * A complete assistant message with a text and optional tool uses, typed as in the SDK, for tests of code that reads messages.
 *
 * @example
 * render([assistantMessage("I look."), assistantMessage("", [{ name: "Read", input: { file_path: "a" } }])]);
 */
export function assistantMessage(
  text: string,
  toolUses: readonly ToolUseContent[] = [],
  facts: MessageFacts = {},
): SDKAssistantMessage {
  const said: Content[] = text === "" ? [] : [{ type: "text", text, citations: null }];
  const used = toolUses.map(
    ({ name, input = {}, id = `toolu_${randomUUID()}` }): Content => ({ type: "tool_use", id, name, input }),
  );
  return {
    type: "assistant",
    message: {
      id: `msg_${randomUUID()}`,
      type: "message",
      role: "assistant",
      model: facts.model ?? MODEL,
      content: [...said, ...used],
      stop_reason: used.length > 0 ? "tool_use" : "end_turn",
      stop_sequence: null,
      stop_details: null,
      container: null,
      context_management: null,
      diagnostics: null,
      usage: NO_USAGE,
    },
    ...placed(facts),
  };
}

/** A message with the result of a tool. */
export function toolResultMessage(
  toolUseId: string,
  content: string,
  { isError = false, ...facts }: MessageFacts & { readonly isError?: boolean } = {},
): SDKUserMessage {
  const result = { type: "tool_result" as const, tool_use_id: toolUseId, content, is_error: isError };
  return { type: "user", message: { role: "user", content: [result] }, ...placed(facts) };
}

/** A partial message with a piece of streamed text. */
export function textDeltaMessage(text: string, facts: MessageFacts = {}): SDKPartialAssistantMessage {
  const event = { type: "content_block_delta" as const, index: 0, delta: { type: "text_delta" as const, text } };
  return { type: "stream_event", event, ...placed(facts) };
}

/** The result message of a successful turn. */
export function resultMessage(
  text: string,
  {
    costUsd = 0,
    structured,
    ...facts
  }: MessageFacts & { readonly costUsd?: number; readonly structured?: unknown } = {},
): SDKResultSuccess {
  return {
    type: "result",
    subtype: "success",
    is_error: false,
    result: text,
    ...withoutUndefined({ structured_output: structured }),
    ...figures(costUsd),
    ...ended(facts),
  };
}

/** The result message of a failed turn. */
export function errorResultMessage(
  subtype: SDKResultError["subtype"],
  errors: readonly string[] = [],
  { costUsd = 0, ...facts }: MessageFacts & { readonly costUsd?: number } = {},
): SDKResultError {
  return { type: "result", subtype, is_error: true, errors: [...errors], ...figures(costUsd), ...ended(facts) };
}

function figures(costUsd: number) {
  return {
    duration_ms: 0,
    duration_api_ms: 0,
    num_turns: 1,
    stop_reason: "end_turn",
    total_cost_usd: costUsd,
    usage: NO_USAGE,
    modelUsage: {},
    permission_denials: [],
  };
}

function ended({ sessionId = SESSION_ID }: MessageFacts) {
  return { uuid: randomUUID(), session_id: sessionId };
}

function placed({ sessionId = SESSION_ID, parentToolUseId }: MessageFacts) {
  return { parent_tool_use_id: parentToolUseId ?? null, uuid: randomUUID(), session_id: sessionId };
}
