import type { SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
import type { TurnFailure } from "./failure.ts";

/**
 * The part of a request that the API rejects. `length`: the request is too long and could not be compacted. `media`: an
 * image or a document, or all of them together. `structure`: the order of tool calls, tool results and thinking, which
 * does not depend on the prompt. `other`: unknown.
 */
export type ContentRefusal = "length" | "media" | "structure" | "other";

/** Statuses with which an API rejects a request's content. */
const STATUSES: ReadonlySet<number | undefined> = new Set([400, 413, 422]);

/**
 * How many characters to search. The API names the rejected block at the beginning of its message; a gateway may make
 * the message any length.
 */
const MOST_WORDS = 2_000;

const MEDIA = /\bmessages\.\d+\.content\.\d+\b.*?\b(?:image|document)\b/s;
const STRUCTURE =
  /\bmessages\.\d+\b.*?\b(?:tool_use|tool_result|thinking|redacted_thinking)\b|\btool use concurrency issues\b/s;

/** Returns the content that the API rejects, if that is why this turn failed. */
export function contentRefusalOf(
  result: SDKResultMessage,
  failure: TurnFailure | undefined,
): ContentRefusal | undefined {
  if (failure?.class !== "request") return undefined;
  const { terminal_reason: reason } = result;
  if (reason === "prompt_too_long" || reason === "blocking_limit") return "length";
  if (reason === "image_error") return "media";
  if (!STATUSES.has(failure.status)) return undefined;
  // A tool result may hold an image; then the image is what is rejected.
  const words = failure.message.slice(0, MOST_WORDS);
  if (MEDIA.test(words)) return "media";
  return STRUCTURE.test(words) ? "structure" : "other";
}
