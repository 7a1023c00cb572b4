import type { SDKAssistantMessage, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ToolUse } from "./shown.ts";

type Content = Exclude<SDKUserMessage["message"]["content"], string>;

/** The result of a tool call. */
export interface ToolResult {
  /** The id of the call. */
  readonly id: string;
  /** Text, or blocks of the Messages API. */
  readonly output: NonNullable<Extract<Content[number], { type: "tool_result" }>["content"]>;
  readonly failed: boolean;
  /** The background task with which the call goes on: Claude Code answers such a call at once. */
  readonly taskId?: string | undefined;
  /** The output of Claude Code's tool itself: structured data, if any. */
  readonly data: unknown;
}

/** Returns the tool calls in `message`, subagents' included. */
export function toolUsesOf(message: SDKMessage): ToolUse[] {
  if (message.type !== "assistant") return [];
  const parent = message.parent_tool_use_id;
  return message.message.content.flatMap((block) => {
    if (block.type !== "tool_use") return [];
    const { id, name, input } = block;
    return [{ id, name, input, ...(parent === null ? {} : { parentToolUseId: parent }) }];
  });
}

/** Returns the tool results in `message`, subagents' included. */
export function toolResultsOf(message: SDKMessage): ToolResult[] {
  if (message.type !== "user" || typeof message.message.content === "string") return [];
  const data = message.tool_use_result;
  const taskId = taskOf(data);
  return message.message.content.flatMap((block) => {
    if (block.type !== "tool_result") return [];
    return [{ id: block.tool_use_id, output: block.content ?? "", failed: block.is_error === true, taskId, data }];
  });
}

/** Returns the background task that a tool has started: a subagent, or a command of Bash. */
function taskOf(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const isAsync = "isAsync" in data && data.isAsync === true;
  const id =
    isAsync && "agentId" in data ? data.agentId : "backgroundTaskId" in data ? data.backgroundTaskId : undefined;
  return typeof id === "string" ? id : undefined;
}

/** Returns the text of a tool's output. */
export function textOfOutput(output: ToolResult["output"]): string {
  if (typeof output === "string") return output;
  return output.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}

/**
 * Returns the tool call that `message` belongs to: `null` in the main conversation, `undefined` if the message does not
 * tell.
 */
export function parentToolOf(message: SDKMessage): string | null | undefined {
  if ("parent_tool_use_id" in message) return message.parent_tool_use_id;
  return "tool_use_id" in message && typeof message.tool_use_id === "string" ? message.tool_use_id : undefined;
}

/**
 * Whether Claude Code reports a failed request in the model's place. Some reports lack `error` but have a field that
 * the SDK's types omit.
 */
export function isFailureReport(message: SDKAssistantMessage): boolean {
  return message.error !== undefined || ("is_api_error_message" in message && message.is_api_error_message === true);
}

/** The model name of Claude Code's own messages. */
const NO_MODEL = "<synthetic>";

/**
 * Returns the id of `message` if it is the model's, in the main conversation, so that the transcript will contain it.
 */
export function answerIdOf(message: SDKMessage): string | undefined {
  const isAnswer = message.type === "assistant" && message.parent_tool_use_id === null && message.error === undefined;
  return isAnswer && message.message.model !== NO_MODEL ? message.uuid : undefined;
}

/** Whether a stored message is one of Claude Code's own, such as the report of an API error. */
export function isSynthetic({ type, message }: { readonly type: string; readonly message: unknown }): boolean {
  return (
    type === "assistant" &&
    typeof message === "object" &&
    message !== null &&
    "model" in message &&
    message.model === NO_MODEL
  );
}
