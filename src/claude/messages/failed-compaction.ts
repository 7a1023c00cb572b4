import type { SDKAssistantMessageError } from "@anthropic-ai/claude-agent-sdk";

/** An error of the API in the words of Claude Code. */
export interface FailedCompaction {
  readonly words: string;
  readonly error: SDKAssistantMessageError;
  readonly status: number | undefined;
}

/** Claude Code compacts a conversation that is too long by itself, and calls it too long if the API fails then. */
const FAILED = /^Prompt is too long · automatic compaction failed: (?<words>.+)$/s;

/** What Claude Code says of the API's errors. */
const AUTH = /^(?:Failed to authenticate\b|Invalid API key\b|Not logged in\b)/;
const STATUS = /^(?:Failed to authenticate\. )?API Error: (?:Request rejected \((\d{3})\)|(\d{3})\b)/;
const ANY = /^API Error: /;

/** The error of the API for which a conversation that is too long could not be compacted, if there was one. */
export function failedCompaction(text: string): FailedCompaction | undefined {
  const words = FAILED.exec(text)?.groups?.["words"];
  if (words === undefined) return undefined;
  const [, rejected, given] = STATUS.exec(words) ?? [];
  const found = rejected ?? given;
  const status = found === undefined ? undefined : Number(found);
  if (AUTH.test(words)) return { words, error: "authentication_failed", status };
  // Without a status the API was not reached, or the connection broke.
  if (ANY.test(words)) return { words, error: status === undefined ? "server_error" : "unknown", status };
  return undefined;
}
