import type { SDKAssistantMessageError, SDKResultMessage, TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import type { ErrorDetails } from "../errors.ts";

/** Why a turn failed although its process did its work. */
export interface TurnFailure extends Pick<ErrorDetails["TURN_FAILED"], "class" | "status"> {
  readonly message: string;
}

/** What Claude Code calls the error of a request, and the class of each. */
const CLASS_OF_ERROR: { readonly [Name in SDKAssistantMessageError]: TurnFailure["class"] } = {
  authentication_failed: "auth",
  oauth_org_not_allowed: "auth",
  account_on_hold: "auth",
  verification_required: "auth",
  billing_error: "auth",
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
  const limit = LIMITS[result.subtype];
  if (limit !== undefined) return { class: "turn", message: limit };
  const status = result.subtype === "success" ? (result.api_error_status ?? undefined) : undefined;
  const words = result.subtype === "success" ? result.result : result.errors.join("; ");
  return {
    class: classOfApiError(error, status) ?? classOfTerminal(result.terminal_reason) ?? "unknown",
    message: words || "Claude Code gave no reason",
    ...(status === undefined ? {} : { status }),
  };
}

/** The class of an error of the API, if it can be told. */
export function classOfApiError(
  error: SDKAssistantMessageError | undefined,
  status: number | undefined,
): TurnFailure["class"] | undefined {
  const known = error === undefined ? "unknown" : CLASS_OF_ERROR[error];
  return known === "unknown" ? classOfStatus(status) : known;
}

/** Whether the process cut the turn short because it was told to. */
export function wasInterrupted(result: SDKResultMessage): boolean {
  return result.terminal_reason === "aborted_streaming" || result.terminal_reason === "aborted_tools";
}

function classOfTerminal(reason: TerminalReason | undefined): TurnFailure["class"] | undefined {
  return reason === undefined ? undefined : CLASS_OF_TERMINAL[reason];
}

/** Statuses of the Messages API: https://docs.claude.com/en/api/errors */
function classOfStatus(status: number | undefined): TurnFailure["class"] | undefined {
  if (status === undefined) return undefined;
  if (status === 401 || status === 402 || status === 403) return "auth";
  return status === 429 || status >= 500 ? "overload" : "request";
}
