import type { RecordedEventFields } from "../../session/record/session-event-types.ts";
import type { RetryStatus, StopReason, WireError } from "./wire-event.ts";

type TurnEnd = RecordedEventFields["turn_ended"];

/** What clients are told of a turn that did not complete: the error, unless it is none to them, and why the session is idle. */
export interface Failure {
  readonly error?: WireError;
  readonly stop: StopReason;
}

/** The types of errors whose fields are the same. */
type PlainType = Exclude<WireError["type"], "mcp_connection_failed_error">;

/** Sentences that name no session, path or limit: anybody who may read the session sees them. */
const SENTENCES: { readonly [Type in PlainType]: string } = {
  unknown_error: "The turn ended before it was complete.",
  model_overloaded_error: "The model is overloaded.",
  model_rate_limited_error: "A usage limit of the model is reached.",
  model_request_failed_error: "The model's API refused the request.",
  billing_error: "The account of the model's API cannot pay.",
  tool_use_limit_reached_error: "The turn reached its own limit of model requests.",
};

/** The types by the class of a `TURN_FAILED`. */
const BY_CLASS: { readonly [name: string]: PlainType } = {
  auth: "model_request_failed_error",
  request: "model_request_failed_error",
  billing: "billing_error",
  quota: "model_rate_limited_error",
  overload: "model_overloaded_error",
  turn: "tool_use_limit_reached_error",
};

/** Returns an error of a session. @param code Castellan's code, which the message ends with */
export function wireError(type: PlainType, status: RetryStatus, code?: string): WireError {
  const message = `${SENTENCES[type]}${code === undefined ? "" : ` (${code})`}`;
  return { type, message, retry_status: { type: status } };
}

/** Returns what clients are told of a turn's end. A client may always send the next prompt, so no error is terminal. */
export function failureOf({ error, stopReason, cut }: TurnEnd): Failure {
  if (error === undefined) return { stop: { type: stopReason === "refusal" ? "refusal" : "end_turn" } };
  const { code, class: of } = error;
  switch (code) {
    case "TURN_INTERRUPTED":
      // Without a class, somebody stopped it, or the application has ended.
      return of === undefined && cut === undefined ? { stop: { type: "end_turn" } } : exhausted("unknown_error", code);
    case "TURN_CANCELLED":
      return { stop: { type: "end_turn" } };
    case "BUDGET_EXCEEDED":
      return { stop: { type: "budget_reached" } };
    case "TURN_FAILED":
      return exhausted(BY_CLASS[of ?? ""] ?? "unknown_error", code);
    default:
      return exhausted("unknown_error", code);
  }
}

function exhausted(type: PlainType, code: string): Failure {
  return { error: wireError(type, "exhausted", code), stop: { type: "retries_exhausted" } };
}
