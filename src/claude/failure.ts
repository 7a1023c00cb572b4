import type { SDKAssistantMessageError, SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
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
  rate_limit: "quota",
  overloaded: "overload",
  server_error: "overload",
  invalid_request: "request",
  model_not_found: "request",
  max_output_tokens: "turn",
  unknown: "unknown",
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
  if (result.subtype !== "success") {
    return { class: "unknown", message: result.errors.join("; ") || "Claude Code gave no reason" };
  }
  const status = result.api_error_status ?? undefined;
  return {
    class: error === undefined ? classOfStatus(status) : CLASS_OF_ERROR[error],
    message: result.result || "Claude Code gave no reason",
    ...(status === undefined ? {} : { status }),
  };
}

/** Whether the process cut the turn short because it was told to. */
export function wasInterrupted(result: SDKResultMessage): boolean {
  return result.terminal_reason === "aborted_streaming" || result.terminal_reason === "aborted_tools";
}

/** Statuses of the Messages API: https://docs.claude.com/en/api/errors */
function classOfStatus(status: number | undefined): TurnFailure["class"] {
  if (status === undefined) return "unknown";
  if (status === 401 || status === 402 || status === 403) return "auth";
  if (status === 429) return "quota";
  return status >= 500 ? "overload" : "request";
}
