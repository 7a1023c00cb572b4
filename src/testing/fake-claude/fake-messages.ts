import { randomUUID } from "node:crypto";
import { withoutUndefined } from "../../fields.ts";
import type { WireMessage, WireObject } from "./fake-wire.ts";

/** The version of Claude Code that these messages imitate. */
export const CLAUDE_CODE_VERSION = "2.1.332";

/** A content block of an assistant message: text, thinking or a tool use. */
export type FakeBlock = { readonly type: string; readonly [field: string]: unknown };

/** The prompts that a turn answers: all uuids, and the last one in the singular field. */
export interface FakeEcho {
  readonly user_message_uuid?: string;
  readonly user_message_uuids?: readonly string[];
}

/** The facts in the first message of a turn. */
export interface FakeInit {
  readonly cwd: string;
  readonly model: string;
  readonly permissionMode: string;
  readonly tools: readonly string[];
  readonly mcpServers: readonly WireObject[];
  readonly directories: readonly string[];
  readonly promptUuids: readonly string[];
}

const EMPTY_USAGE = { input_tokens: 0, output_tokens: 0 };

export function initMessage(init: FakeInit): WireObject {
  return {
    type: "system",
    subtype: "init",
    cwd: init.cwd,
    tools: init.tools,
    mcp_servers: init.mcpServers,
    model: init.model,
    permissionMode: init.permissionMode,
    slash_commands: ["clear", "compact", "context"],
    terminal_slash_commands: ["color"],
    apiKeySource: "ANTHROPIC_API_KEY",
    claude_code_version: CLAUDE_CODE_VERSION,
    output_style: "default",
    agents: ["claude", "general-purpose"],
    skills: ["verify"],
    plugins: [],
    capabilities: ["interrupt_receipt_v1", "interrupt_cancel_queued_v1", "msg_lifecycle_v1"],
    analytics_disabled: true,
    product_feedback_disabled: true,
    served_by_anthropic: false,
    sandbox_enabled: false,
    memory_paths: {},
    original_cwd: init.cwd,
    additional_directories: init.directories,
    fast_mode_state: "off",
    fast_mode_disabled_reason: "sdk_opt_in_required",
    per_turn_effort_active: true,
    ultrathink_available: false,
    ultrathink_typed_raises: false,
    view_mode: "default",
    ...(init.promptUuids.length === 0 ? {} : { user_message_uuids: init.promptUuids }),
  };
}

export function requestingMessage(promptUuids: readonly string[]): WireObject {
  const named = promptUuids.length === 0 ? {} : { user_message_uuids: promptUuids };
  return { type: "system", subtype: "status", status: "requesting", ...named };
}

export function modeMessage(permissionMode: string): WireObject {
  return { type: "system", subtype: "status", status: null, permissionMode };
}

/** A session state message. Hosts receive it only with `CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS`; otherwise the SDK drops it. */
export function stateMessage(state: "running" | "idle" | "requires_action", told: boolean): WireObject {
  return { type: "system", subtype: "session_state_changed", state, ...(told ? {} : { sdk_host_only: true }) };
}

export function lifecycleMessage(
  commandUuid: string,
  state: "queued" | "started" | "completed" | "cancelled",
): WireObject {
  return { type: "command_lifecycle", command_uuid: commandUuid, state };
}

export function assistantMessage(
  apiMessageId: string,
  model: string,
  block: FakeBlock,
  echo: FakeEcho | undefined,
): WireObject {
  return {
    type: "assistant",
    message: {
      id: apiMessageId,
      type: "message",
      role: "assistant",
      content: [block],
      model,
      stop_reason: null,
      stop_sequence: null,
      usage: EMPTY_USAGE,
      context_management: null,
    },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
    ...echo,
  };
}

/** The message that Claude Code sends in place of an answer when the API fails. */
export function apiErrorMessage(text: string, error: string, facts: WireObject, echo: FakeEcho): WireObject {
  return {
    type: "assistant",
    message: {
      diagnostics: null,
      id: randomUUID(),
      container: null,
      model: "<synthetic>",
      role: "assistant",
      stop_details: null,
      stop_reason: "stop_sequence",
      stop_sequence: "",
      type: "message",
      usage: EMPTY_USAGE,
      content: [{ type: "text", text }],
      context_management: null,
    },
    parent_tool_use_id: null,
    error,
    is_api_error_message: true,
    ...facts,
    timestamp: new Date().toISOString(),
    ...echo,
  };
}

export function retryMessage(attempt: number, of: number, status: number | undefined, error: string): WireObject {
  return {
    type: "system",
    subtype: "api_retry",
    attempt,
    max_retries: of,
    retry_delay_ms: 500 * 2 ** (attempt - 1),
    error_status: status ?? null,
    error,
  };
}

/** Announces that Claude Code compacts a conversation that is too long. */
export function compactingMessage(): WireObject {
  return { type: "system", subtype: "status", status: "compacting", compact_output_chars: 0 };
}

/** Announces that the compaction failed too. */
export function notCompactedMessage(): WireObject {
  return { type: "system", subtype: "status", status: null, compact_result: "failed", compact_error: "exhausted" };
}

/** The outcome of a tool use. */
export interface FakeToolResult {
  readonly content: unknown;
  /** `undefined` if the message omits it: for successful tools of MCP servers. */
  readonly isError: boolean | undefined;
  /** Why the tool did not run, or did not finish. */
  readonly refused?: "permission-rule" | "user-rejected";
  /** Whether the tool does not exist or cannot be used now, so that no permission was requested. */
  readonly unusable?: true;
  /** Who permitted the tool. Default: rules or the mode. */
  readonly permittedBy?: "user_temporary" | "hook" | undefined;
}

export function toolResultMessage(id: string, result: FakeToolResult): WireObject {
  const { content, isError, refused, unusable, permittedBy = "config" } = result;
  const reason = { config: "rule", hook: "hook", user_temporary: undefined }[permittedBy];
  const accepted = { decision: "accept", source: permittedBy, reason_type: reason };
  return {
    type: "user",
    message: {
      role: "user",
      content: [{ tool_use_id: id, type: "tool_result", content, ...withoutUndefined({ is_error: isError }) }],
    },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
    tool_use_result:
      refused === "user-rejected" ? "User rejected tool use" : isError === true ? `Error: ${String(content)}` : content,
    ...(unusable === true
      ? {}
      : {
          tool_result_meta: [
            { id, ...(refused === undefined ? { permission_decision: accepted } : { non_execution_kind: refused }) },
          ],
        }),
  };
}

export function interruptedMessage(duringTool: boolean): WireObject {
  return {
    type: "user",
    message: { role: "user", content: [{ type: "text", text: interruptedText(duringTool) }] },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
  };
}

/** The result of an interrupted tool use, as the model sees it. */
export const INTERRUPTED_TOOL: { readonly waiting: string; readonly running: string } = {
  waiting:
    "The user doesn't want to proceed with this tool use. The tool use was rejected. STOP what you are doing and wait for the user to tell you how to proceed.",
  running:
    "The user doesn't want to proceed with this tool use. The tool use was rejected. STOP what you are doing and wait for the user to tell you how to proceed. Correction to the text above: this call was stopped while running, not refused before it ran.",
};

export function interruptedText(duringTool: boolean): string {
  return duringTool ? "[Request interrupted by user for tool use]" : "[Request interrupted by user]";
}

export function streamEvent(apiMessageId: string, event: WireObject): WireObject {
  return { type: "stream_event", event, parent_tool_use_id: null, api_message_id: apiMessageId };
}

/** Adds the session id and a uuid to a message that lacks them. */
export function stamp(message: WireObject, sessionId: string): WireMessage {
  return { type: "", session_id: sessionId, uuid: randomUUID(), ...message };
}
