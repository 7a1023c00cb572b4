import type { SDKAssistantMessageError } from "@anthropic-ai/claude-agent-sdk";

/** An API error as Claude Code words it. */
export interface FailedCompaction {
  readonly words: string;
  readonly error: SDKAssistantMessageError;
  readonly status: number | undefined;
}

/**
 * Claude Code compacts a conversation that is too long by itself. If the API then fails, it reports the conversation as
 * too long.
 */
const FAILED = /^Prompt is too long · automatic compaction failed: (?<words>.+)$/s;

/** How Claude Code words the API's errors. */
const AUTH = /^(?:Failed to authenticate\b|Invalid API key\b|Not logged in\b)/;
const STATUS = /^(?:Failed to authenticate\. )?API Error: (?:Request rejected \((\d{3})\)|(\d{3})\b)/;
const ANY = /^API Error: /;

/** Returns the API error that kept Claude Code from compacting a conversation that is too long, or undefined. */
export function failedCompaction(text: string): FailedCompaction | undefined {
  const words = FAILED.exec(text)?.groups?.["words"];
  if (words === undefined) return undefined;
  const [, rejected, given] = STATUS.exec(words) ?? [];
  const found = rejected ?? given;
  const status = found === undefined ? undefined : Number(found);
  if (AUTH.test(words)) return { words, error: "authentication_failed", status };
  // Without a status, the API was unreachable or the connection broke.
  if (ANY.test(words)) return { words, error: status === undefined ? "server_error" : "unknown", status };
  return undefined;
}
