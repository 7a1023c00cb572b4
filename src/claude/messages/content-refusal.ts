import type { SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
import type { TurnFailure } from "./failure.ts";

/**
 * What of a request the API refuses. `length`: it is too long, and could not be compacted. `media`: an image or a document, or all
 * of them together. `structure`: how calls of tools, their answers and Claude's thinking stand in it, which no prompt decides.
 * `other`: what it is, nothing tells.
 */
export type ContentRefusal = "length" | "media" | "structure" | "other";

/** Statuses of an API that does not take a request as it is. */
const STATUSES: ReadonlySet<number | undefined> = new Set([400, 413, 422]);

/** The API names the block that it does not take at the beginning of what it says, which may be as long as a gateway wants. */
const MOST_WORDS = 2_000;

const MEDIA = /\bmessages\.\d+\.content\.\d+\b.*?\b(?:image|document)\b/s;
const STRUCTURE =
  /\bmessages\.\d+\b.*?\b(?:tool_use|tool_result|thinking|redacted_thinking)\b|\btool use concurrency issues\b/s;

/** What the API refuses of the request of this turn, if it is for the content of the request that it has failed. */
export function contentRefusalOf(
  result: SDKResultMessage,
  failure: TurnFailure | undefined,
): ContentRefusal | undefined {
  if (failure?.class !== "request") return undefined;
  const { terminal_reason: reason } = result;
  if (reason === "prompt_too_long" || reason === "blocking_limit") return "length";
  if (reason === "image_error") return "media";
  if (!STATUSES.has(failure.status)) return undefined;
  // An answer of a tool may hold an image; the image is what is refused then.
  const words = failure.message.slice(0, MOST_WORDS);
  if (MEDIA.test(words)) return "media";
  return STRUCTURE.test(words) ? "structure" : "other";
}
