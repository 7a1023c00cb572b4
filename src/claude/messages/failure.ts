import type { SDKAssistantMessageError, SDKResultMessage, TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import type { ErrorDetails } from "../../errors.ts";
import { own, withoutUndefined } from "../../fields.ts";
import { faultInWords } from "./api-words.ts";
import { failedCompaction } from "./failed-compaction.ts";

/** Why a turn failed although its process did its work. */
export interface TurnFailure extends Pick<ErrorDetails["TURN_FAILED"], "class" | "status"> {
  readonly message: string;
  /** When a limit of use is lifted, in milliseconds since the epoch, if that was said. */
  readonly until?: number;
}

/** What is known of an error of the API. */
interface ApiError {
  /** What the turn's last assistant message said. */
  readonly error: SDKAssistantMessageError | undefined;
  readonly status: number | undefined;
  /** Claude Code's name for it, where it has one that is more exact. Not in the SDK's types, like the next one. */
  readonly code?: unknown;
  /** The API's name for it. */
  readonly type?: unknown;
  readonly words?: string;
}

/** Errors that Claude Code names exactly, of those whose `error` says something else. */
const CLASS_OF_CODE: ReadonlyMap<unknown, TurnFailure["class"]> = new Map([
  ["org_disabled_credential", "auth"],
  ["api_key_auth_disabled", "auth"],
  ["invalid_credential_header", "auth"],
  ["named_profile_unusable", "auth"],
  ["stored_login_refused", "auth"],
  ["oauth_refresh_store_refused", "auth"],
  // The network is refused, as one in another country is; no turn from it would fare better.
  ["network_edge_blocked", "auth"],
  ["model_requires_usage_credits", "billing"],
  ["long_context_credits_required", "billing"],
]);

/** Statuses of the Messages API that say that it is not the request: https://docs.claude.com/en/api/errors */
const DENIALS: ReadonlyMap<number | undefined, TurnFailure["class"]> = new Map([
  [401, "auth"],
  [402, "billing"],
  [403, "auth"],
]);

/** What Claude Code calls the error of a request, and the class of each. */
const CLASS_OF_ERROR: { readonly [Name in SDKAssistantMessageError]: TurnFailure["class"] } = {
  authentication_failed: "auth",
  oauth_org_not_allowed: "auth",
  account_on_hold: "auth",
  verification_required: "auth",
  billing_error: "billing",
  cloud_credential_error: "auth",
  // Without the time of a reset, which comes in another message, all that is known is that it is too much now.
  rate_limit: "overload",
  overloaded: "overload",
  server_error: "overload",
  invalid_request: "request",
  model_not_found: "request",
  max_output_tokens: "turn",
  unknown: "unknown",
};

/** Why Claude Code ended the turn, where neither an error nor a status of the API says more. */
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

/** What the limits of a turn are called in its result. */
const LIMITS: { readonly [Subtype in SDKResultMessage["subtype"]]?: string } = {
  error_max_turns: "it reached `maxTurns`",
  error_max_budget_usd: "it reached `maxBudgetUsd`",
  error_max_structured_output_retries: "Claude did not manage to answer in the form that `outputFormat` asks for",
};

/**
 * Why the turn of this result failed; `undefined` if it did not. `error` is what the turn's last assistant message said.
 *
 * An error of the API comes as a `success` with `is_error` set and the API's words as its text.
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
    const why = `the conversation is to be compacted, which failed: ${compaction.words}`;
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
 * The class of an error of the API, if it can be told. Structured fields decide; words do where those leave it open: the API
 * answers 400 also where the request is not at fault, and 429 also where waiting a little is of no use.
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
  // Newer releases may have other names.
  const named = (error === undefined ? undefined : own(CLASS_OF_ERROR, error)) ?? "unknown";
  // What Claude Code has no name for, and what it takes for the fault of the request, may be another's.
  const isOpen = named === "unknown" || error === "invalid_request";
  const denied = isOpen ? DENIALS.get(status) : undefined;
  if (denied !== undefined) return { class: denied };
  const spoken = isOpen || error === "rate_limit" ? faultInWords(words) : undefined;
  if (spoken !== undefined) return spoken;
  const other = named === "unknown" ? classOfStatus(status) : named;
  return other === undefined ? undefined : { class: other };
}

/** What a turn has shown of a command of Claude Code's own that it ran. */
export interface CommandProgress {
  /** Whether the command has said that it did not do what it was to do. */
  readonly commandRefused: boolean;
  /** Whether the conversation has been replaced by a summary. */
  readonly compacted: boolean;
  /** What it has said. */
  readonly text: string;
}

/** Why a command of Claude Code's own has not done what it was to do, if that is so. Its result tells of a success. */
export function commandFailureOf(
  result: SDKResultMessage,
  { commandRefused, compacted, text }: CommandProgress,
): TurnFailure | undefined {
  if (result.subtype !== "success") return undefined;
  if (!commandRefused && (result.local_command !== "compact" || compacted)) return undefined;
  // Of an error of the API there are only these words.
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

/** Whether the process cut the turn short because it was told to. */
export function wasInterrupted(result: SDKResultMessage): boolean {
  return result.terminal_reason === "aborted_streaming" || result.terminal_reason === "aborted_tools";
}

function classOfTerminal(reason: TerminalReason | undefined): TurnFailure["class"] | undefined {
  return reason === undefined ? undefined : own(CLASS_OF_TERMINAL, reason);
}

/** All other statuses. */
function classOfStatus(status: number | undefined): TurnFailure["class"] | undefined {
  if (status === undefined) return undefined;
  return status === 429 || status >= 500 ? "overload" : "request";
}
