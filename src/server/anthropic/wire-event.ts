import type { Json } from "../../journal/model/session-entry.ts";

/* The events of the Managed Agents API that this server sends. */

/** A text. */
export interface WireText {
  readonly type: "text";
  readonly text: string;
}

/** What the client does about an error. */
export type RetryStatus = "retrying" | "exhausted" | "terminal";

/** The `error` of `session.error`. */
export type WireError =
  | {
      readonly type:
        | "unknown_error"
        | "model_overloaded_error"
        | "model_rate_limited_error"
        | "model_request_failed_error"
        | "billing_error"
        | "tool_use_limit_reached_error";
      readonly message: string;
      readonly retry_status: { readonly type: RetryStatus };
    }
  | {
      readonly type: "mcp_connection_failed_error";
      readonly mcp_server_name: string;
      readonly message: string;
      readonly retry_status: { readonly type: RetryStatus };
    };

/** An amount of money, in cents. */
export interface WireMoney {
  readonly amount: string;
  readonly currency: "USD";
}

/** A limit of what a session may spend. */
export interface WireBudget {
  readonly type: "limit";
  readonly max_list_cost: WireMoney;
}

/** Why a session is idle. */
export type StopReason =
  | { readonly type: "end_turn" }
  | { readonly type: "requires_action"; readonly event_ids: readonly string[] }
  | { readonly type: "retries_exhausted" }
  | { readonly type: "budget_reached" }
  | { readonly type: "refusal" };

/** What a permission policy decided, and which. */
export interface WireEvaluation {
  readonly evaluated_permission: "allow" | "ask";
  readonly evaluation: { readonly type: "always_allow" | "always_ask" };
}

interface ToolResult {
  /** Blocks. */
  readonly content: Json;
  readonly is_error: boolean;
}

/** What a session has used since its first turn. */
export interface WireUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation: { readonly ephemeral_5m_input_tokens: number };
  readonly list_cost: WireMoney;
}

/** The fields of each type of event, besides `id`, `type` and `processed_at`. */
interface Fields {
  "user.message": { readonly content: Json };
  "user.interrupt": object;
  "user.tool_confirmation": {
    readonly tool_use_id: string;
    readonly result: "allow" | "deny";
    readonly deny_message?: string;
  };
  "user.custom_tool_result": ToolResult & { readonly custom_tool_use_id: string };
  "agent.message": { readonly content: Json };
  "agent.thinking": object;
  "agent.tool_use": ToolUse & WireEvaluation;
  "agent.mcp_tool_use": ToolUse & WireEvaluation & { readonly mcp_server_name: string };
  "agent.custom_tool_use": ToolUse;
  "agent.tool_result": ToolResult & { readonly tool_use_id: string };
  "agent.mcp_tool_result": ToolResult & { readonly mcp_tool_use_id: string };
  "agent.thread_context_compacted": object;
  "session.status_running": object;
  "session.status_idle": { readonly stop_details: null; readonly stop_reason: StopReason };
  "session.status_rescheduled": object;
  "session.status_terminated": object;
  "session.deleted": object;
  "session.updated": {
    readonly title?: string | null;
    readonly metadata?: Readonly<Record<string, string>>;
    readonly budget?: WireBudget | null;
  };
  "session.usage": { readonly usage: WireUsage; readonly budget: WireBudget | null };
  "session.error": { readonly error: WireError };
  "session.thread_created": ThreadFact & { readonly workflow_run_id: null };
  "session.thread_status_running": ThreadFact;
  "session.thread_status_idle": ThreadFact & { readonly stop_details: null; readonly stop_reason: StopReason };
  "span.model_request_start": object;
  "span.model_request_end": {
    readonly model_request_start_id: string;
    readonly is_error: boolean;
    readonly model_usage: {
      readonly input_tokens: number;
      readonly output_tokens: number;
      readonly cache_read_input_tokens: number;
      readonly cache_creation_input_tokens: number;
    };
  };
}

interface ToolUse {
  readonly name: string;
  readonly input: Json;
  /** The thread of the subagent, in events of a subagent on the session's stream. */
  readonly session_thread_id?: string;
}

interface ThreadFact {
  readonly session_thread_id: string;
  readonly agent_name: string;
}

/** The name of an event. */
export type WireEventType = keyof Fields;

type Envelope<Type extends WireEventType> = { readonly id: string; readonly type: Type } & Fields[Type];

/** What clients send may wait, so its time may be unknown. */
type Timed<Type extends WireEventType> = Type extends `user.${string}`
  ? { readonly processed_at: string | null }
  : { readonly processed_at: string };

/** An event in lists and streams. */
export type WireEvent = { [Type in WireEventType]: Envelope<Type> & Timed<Type> }[WireEventType];

/** An event that only streams have, for clients that ask for it. */
export type WireDelta =
  | { readonly type: "event_start"; readonly event: { readonly id: string; readonly type: PreviewedType } }
  | {
      readonly type: "event_delta";
      readonly event_id: string;
      readonly delta: { readonly type: "content_delta"; readonly index: number; readonly content: WireText };
    };

/** The events that streams can preview. */
export type PreviewedType = "agent.message" | "agent.thinking";

const TYPES: { readonly [Type in WireEventType]: true } = {
  "user.message": true,
  "user.interrupt": true,
  "user.tool_confirmation": true,
  "user.custom_tool_result": true,
  "agent.message": true,
  "agent.thinking": true,
  "agent.tool_use": true,
  "agent.mcp_tool_use": true,
  "agent.custom_tool_use": true,
  "agent.tool_result": true,
  "agent.mcp_tool_result": true,
  "agent.thread_context_compacted": true,
  "session.status_running": true,
  "session.status_idle": true,
  "session.status_rescheduled": true,
  "session.status_terminated": true,
  "session.deleted": true,
  "session.updated": true,
  "session.usage": true,
  "session.error": true,
  "session.thread_created": true,
  "session.thread_status_running": true,
  "session.thread_status_idle": true,
  "span.model_request_start": true,
  "span.model_request_end": true,
};

/** The names of the events, for the table of what is supported. */
export const WIRE_EVENT_TYPES: readonly WireEventType[] = Object.keys(TYPES) as WireEventType[];
