import type { SDKAssistantMessageError, SDKResultMessage, TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import type { ErrorDetails } from "../../errors.ts";
import { own, withoutUndefined } from "../../fields.ts";
import { faultInWords } from "./api-words.ts";

/** Why a turn failed although its process worked. */
export interface TurnFailure extends Pick<ErrorDetails["TURN_FAILED"], "class" | "status"> {
  readonly message: string;
  /** When a usage limit is lifted, in milliseconds since the epoch, if known. */
  readonly until?: number;
}

/** What is known of an API error. */
interface ApiError {
  /** The `error` of the turn's last assistant message. */
  readonly error: SDKAssistantMessageError | undefined;
  readonly status: number | undefined;
  /** Claude Code's more specific code, if any. The SDK's types omit it and the next field. */
  readonly code?: unknown;
  /** The API's error type. */
  readonly type?: unknown;
  readonly words?: string;
}

/** Classes of codes that are more specific than `error`. */
const CLASS_OF_CODE: ReadonlyMap<unknown, TurnFailure["class"]> = new Map([
  ["org_disabled_credential", "auth"],
  ["api_key_auth_disabled", "auth"],
  ["invalid_credential_header", "auth"],
  ["named_profile_unusable", "auth"],
  ["stored_login_refused", "auth"],
  ["oauth_refresh_store_refused", "auth"],
  // The API blocks the network, for example one in another country; every turn from there fails.
  ["network_edge_blocked", "auth"],
  ["model_requires_usage_credits", "billing"],
  ["long_context_credits_required", "billing"],
]);

/** Classes of API statuses that do not blame the request: https://docs.claude.com/en/api/errors */
const DENIALS: ReadonlyMap<number | undefined, TurnFailure["class"]> = new Map([
  [401, "auth"],
  [402, "billing"],
  [403, "auth"],
]);

/** Classes of Claude Code's names for request errors. */
const CLASS_OF_ERROR: { readonly [Name in SDKAssistantMessageError]: TurnFailure["class"] } = {
  authentication_failed: "auth",
  oauth_org_not_allowed: "auth",
  account_on_hold: "auth",
  verification_required: "auth",
  billing_error: "billing",
  cloud_credential_error: "auth",
  // The reset time comes in another message; without it, back off as for an overload.
  rate_limit: "overload",
  overloaded: "overload",
  server_error: "overload",
  invalid_request: "request",
  model_not_found: "request",
  max_output_tokens: "turn",
  unknown: "unknown",
};

/** Classes of the reasons for which Claude Code ends a turn, used if neither an error nor a status says more. */
const CLASS_OF_TERMINAL: { readonly [Reason in TerminalReason]?: TurnFailure["class"] } = {
  prompt_too_long: "request",
  image_error: "request",
  blocking_limit: "turn",
  rapid_refill_breaker: "turn",
  malformed_tool_use_exhausted: "turn",
  stop_hook_prevented: "turn",
  hook_stopped: "turn",
  max_turns: "turn",
  budget_exhausted: "turn",
  structured_output_retry_exhausted: "turn",
  tool_deferred_unavailable: "turn",
  model_error: "overload",
  api_error: "overload",
};

/** The names of a turn's limits in its result. */
const LIMITS: { readonly [Subtype in SDKResultMessage["subtype"]]?: string } = {
  error_max_turns: "it reached `maxTurns`",
  error_max_budget_usd: "it reached `maxBudgetUsd`",
  error_max_structured_output_retries: "Claude did not manage to answer in the form that `outputFormat` asks for",
};

/**
 * Returns why the turn of this result failed, or undefined. `error` is that of the turn's last assistant message.
 *
 * An API error arrives as a `success` with `is_error` set and the API's words as its text.
 */
export function failureOf(
  result: SDKResultMessage,
  error: SDKAssistantMessageError | undefined,
): TurnFailure | undefined {
  if (!result.is_error && result.subtype === "success") return undefined;
  const limit = own(LIMITS, result.subtype);
  if (limit !== undefined) return { class: "turn", message: limit };
  const status = result.subtype === "success" ? (result.api_error_status ?? undefined) : undefined;
  const words = result.subtype === "success" ? result.result : result.errors.join("; ");
  const compaction = failedCompaction(words);
  if (compaction !== undefined) {
    const why = `compacting the conversation failed: ${compaction.words}`;
    return withFault(compaction, why, result.terminal_reason);
  }
  const code = "api_error" in result ? result.api_error : undefined;
  const type = "api_error_type" in result ? result.api_error_type : undefined;
  return withFault({ error, status, code, type, words }, words || "Claude Code gave no reason", result.terminal_reason);
}

function withFault(given: ApiError, message: string, reason: TerminalReason | undefined): TurnFailure {
  const { status } = given;
  const found = faultOf(given);
  return {
    class: found?.class ?? classOfTerminal(reason) ?? "unknown",
    message,
    ...withoutUndefined({ status, until: found?.until }),
  };
}

/**
 * Returns the class of an API error, if it can be determined. Structured fields decide; words decide where those are
 * ambiguous, because the API also answers 400 if the request is not at fault, and 429 if a short wait does not help.
 */
export function faultOf({
  error,
  status,
  code,
  type,
  words = "",
}: ApiError): Pick<TurnFailure, "class" | "until"> | undefined {
  const exact = CLASS_OF_CODE.get(code);
  if (exact !== undefined) return { class: exact };
  if (type === "billing_error") return { class: "billing" };
  // Newer releases may use other names.
  const named = (error === undefined ? undefined : own(CLASS_OF_ERROR, error)) ?? "unknown";
  // An error without a specific name, or one that blames the request, may have another cause.
  const isOpen = named === "unknown" || error === "invalid_request";
  const denied = isOpen ? DENIALS.get(status) : undefined;
  if (denied !== undefined) return { class: denied };
  const spoken = isOpen || error === "rate_limit" ? faultInWords(words) : undefined;
  if (spoken !== undefined) return spoken;
  const other = named === "unknown" ? classOfStatus(status) : named;
  return other === undefined ? undefined : { class: other };
}

/** What a turn has shown of a built-in command. */
export interface CommandProgress {
  /** Whether the command reported that it failed. */
  readonly commandRefused: boolean;
  /** Whether a summary replaced the conversation. */
  readonly compacted: boolean;
  /** The command's output. */
  readonly text: string;
}

/** Returns why a built-in command failed, or undefined. Its result reports success regardless. */
export function commandFailureOf(
  result: SDKResultMessage,
  { commandRefused, compacted, text }: CommandProgress,
): TurnFailure | undefined {
  if (result.subtype !== "success") return undefined;
  if (!commandRefused && (result.local_command !== "compact" || compacted)) return undefined;
  // The words are all there is of an API error.
  const [, digits, words = ""] = /\bAPI Error: (\d{3})\b(.*)/s.exec(text) ?? [];
  const status = digits === undefined ? undefined : Number(digits);
  const fault = status === undefined ? undefined : faultOf({ error: undefined, status, words: words.trim() });
  return {
    class: "turn",
    ...fault,
    message: text.replace(/^Error: /, "") || "the command did nothing",
    ...withoutUndefined({ status }),
  };
}

/** Whether the process interrupted the turn on request. */
export function wasInterrupted(result: SDKResultMessage): boolean {
  return result.terminal_reason === "aborted_streaming" || result.terminal_reason === "aborted_tools";
}

function classOfTerminal(reason: TerminalReason | undefined): TurnFailure["class"] | undefined {
  return reason === undefined ? undefined : own(CLASS_OF_TERMINAL, reason);
}

/** Every other status. */
function classOfStatus(status: number | undefined): TurnFailure["class"] | undefined {
  if (status === undefined) return undefined;
  return status === 429 || status >= 500 ? "overload" : "request";
}

/** An API error as Claude Code words it. */
interface FailedCompaction {
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
function failedCompaction(text: string): FailedCompaction | undefined {
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
