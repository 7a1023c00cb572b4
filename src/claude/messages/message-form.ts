import type { SDKMessage, SDKSystemMessage } from "@anthropic-ai/claude-agent-sdk";
import { isTooDeep, MOST_DEPTH } from "./message-size.ts";

/** The form of a conversation id. Files are named after it, so an id of any other form could point anywhere. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The usage figures of a model in a result. */
const FIGURES = ["costUSD", "inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"] as const;

/**
 * Returns what is wrong with the form of a message, as far as Castellan reads or keeps it, or undefined. The SDK passes
 * any JSON as a message. Unknown types may have any form.
 */
export function formProblem(message: SDKMessage): string | undefined {
  if (isTooDeep(message)) return `it is nested more than ${MOST_DEPTH} deep`;
  switch (message.type) {
    case "assistant":
    case "user":
      return isSpoken(message.message) ? undefined : "the `content` of its `message` is neither text nor blocks";
    case "stream_event":
      return isTyped(message.event) && (!("delta" in message.event) || isObject(message.event.delta))
        ? undefined
        : "its `event` is none";
    case "result":
      return resultProblem(message);
    case "system":
      return systemProblem(message);
    default:
      return undefined;
  }
}

function resultProblem(message: SDKMessage & { readonly type: "result" }): string | undefined {
  const { subtype, is_error: isError, modelUsage } = message;
  if (typeof subtype !== "string" || typeof isError !== "boolean") return "it does not say whether the turn succeeded";
  if (subtype === "success" ? typeof message.result !== "string" : !areTexts(message.errors)) return "it has no text";
  const models: unknown[] = isObject(modelUsage) ? Object.values(modelUsage) : [undefined];
  return models.every(isCounted) ? undefined : "it does not say what was used";
}

function systemProblem(message: SDKMessage & { readonly type: "system" }): string | undefined {
  if (message.subtype === "init") return initProblem(message);
  if (message.subtype !== "background_tasks_changed") return undefined;
  return areObjects(message.tasks) ? undefined : "its `tasks` is not a list of tasks";
}

function initProblem({ session_id: id, mcp_servers: servers = [] }: SDKSystemMessage): string | undefined {
  if (!isId(id)) return "its `session_id` is none";
  return areObjects(servers) ? undefined : "its `mcp_servers` is not a list of servers";
}

function isSpoken(value: unknown): boolean {
  if (!isObject(value) || !("content" in value)) return false;
  const { content } = value;
  return typeof content === "string" || (Array.isArray(content) && content.every(isTyped));
}

function isTyped(value: unknown): boolean {
  return isObject(value) && "type" in value && typeof value.type === "string";
}

function isCounted(value: unknown): boolean {
  if (!isObject(value)) return false;
  const fields: Partial<Record<string, unknown>> = { ...value };
  return FIGURES.every((figure) => Number.isFinite(fields[figure]));
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((part) => typeof part === "string");
}

function areObjects(value: unknown): boolean {
  return Array.isArray(value) && value.every(isObject);
}

function isId(value: unknown): boolean {
  return typeof value === "string" && UUID.test(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
