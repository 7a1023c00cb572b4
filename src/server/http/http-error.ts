import { CastellanError, type ErrorCode, type OptionProblem } from "../../errors.ts";
import { publicError, type ResponseView } from "../../session/streams/response-view.ts";
import { type AnthropicErrorType, RequestError, type RequestErrorCode } from "./request-error.ts";

/** An error as HTTP: what both APIs put into their own form of body, and the headers. */
export interface HttpError {
  readonly status: number;
  /** Anthropic's type of the error. */
  readonly type: AnthropicErrorType;
  /** Stable: a code of Castellan, of the server, or `INTERNAL`. */
  readonly code: ErrorCode | RequestErrorCode | "INTERNAL";
  /** One or two sentences that the caller may see. */
  readonly message: string;
  /** The invalid fields of the request, if that is the problem. */
  readonly problems?: readonly OptionProblem[];
  /** `retry-after`, `x-should-retry`, `allow`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Whether the same request may succeed later; `x-should-retry` of Anthropic's SDK. */
type Retry = "retry" | "no_retry";

type Answer = readonly [status: number, type: AnthropicErrorType, retry: Retry];

const INVALID: Answer = [400, "invalid_request_error", "no_retry"];
const MISSING: Answer = [404, "not_found_error", "no_retry"];
const FULL: Answer = [429, "rate_limit_error", "retry"];
const DOWN: Answer = [503, "overloaded_error", "no_retry"];
const DOWN_FOR_NOW: Answer = [503, "overloaded_error", "retry"];
const FAILED: Answer = [500, "api_error", "no_retry"];
const LATE: Answer = [504, "timeout_error", "no_retry"];

/** The answers by code. None is 408 or 409: Anthropic's SDK retries those. */
const ANSWERS: { readonly [Code in ErrorCode]: Answer } = {
  INVALID_OPTIONS: INVALID,
  COMMAND_NOT_FOUND: INVALID,
  STEER_REFUSED: INVALID,
  SESSION_ALREADY_STARTED: INVALID,
  CHILD_ALREADY_STARTED: INVALID,
  CHILD_ALREADY_PRESENT: INVALID,
  CHILD_RUNNING: INVALID,
  CHILD_RESTARTING: INVALID,
  CHILD_NOT_GONE: INVALID,
  KEY_ALREADY_REGISTERED: INVALID,
  MAX_CHILDREN: INVALID,
  LOAN_ENDED: INVALID,
  SESSION_NOT_FOUND: MISSING,
  POOL_NOT_FOUND: MISSING,
  CHILD_NOT_FOUND: MISSING,
  EVENTS_LOST: [410, "not_found_error", "no_retry"],
  BUDGET_EXCEEDED: [402, "billing_error", "no_retry"],
  // The caller asked not to wait, so a retry by its SDK would defeat that.
  SESSION_BUSY: [429, "rate_limit_error", "no_retry"],
  MAILBOX_FULL: FULL,
  QUEUE_TIMEOUT: FULL,
  TEMPLATE_FULL: FULL,
  POOL_EXHAUSTED: DOWN_FOR_NOW,
  CAPACITY_EXHAUSTED: DOWN_FOR_NOW,
  SUPERVISOR_STOPPED: DOWN_FOR_NOW,
  JOURNAL_UNAVAILABLE: DOWN_FOR_NOW,
  DATABASE_UNAVAILABLE: DOWN_FOR_NOW,
  CLUSTER_UNAVAILABLE: DOWN_FOR_NOW,
  NOT_OWNER: DOWN_FOR_NOW,
  ERASURE_INCOMPLETE: DOWN_FOR_NOW,
  SESSION_QUARANTINED: DOWN,
  SESSION_STOPPED: DOWN,
  CLAUDE_NOT_FOUND: DOWN,
  START_FAILED: DOWN,
  CHILD_START_FAILED: DOWN,
  JOURNAL_IN_USE: DOWN,
  NODE_NAME_TAKEN: DOWN,
  TURN_TIMEOUT: LATE,
  CONTROL_TIMEOUT: LATE,
  REGISTRATION_TIMEOUT: LATE,
  TURN_FAILED: FAILED,
  TURN_INTERRUPTED: FAILED,
  TURN_CANCELLED: FAILED,
  TURN_RETRIED: FAILED,
  TURN_LOST: FAILED,
  CHECKOUT_CANCELLED: FAILED,
  CONTROL_FAILED: FAILED,
};

/** A turn that has run is never run again by a retry of the SDK, so none of these is one to retry. */
const FAILED_TURNS: { readonly [Class in CastellanError<"TURN_FAILED">["details"]["class"]]: Answer } = {
  request: INVALID,
  billing: [402, "billing_error", "no_retry"],
  quota: [429, "rate_limit_error", "no_retry"],
  overload: DOWN,
  // The server's own key is rejected, not the caller's.
  auth: [502, "api_error", "no_retry"],
  turn: FAILED,
  unknown: FAILED,
};

/** Returns the status of the answer to a code; of a failed turn, by what made it fail. */
export function statusOf(code: ErrorCode, failure?: keyof typeof FAILED_TURNS): number {
  return (failure === undefined ? ANSWERS[code] : FAILED_TURNS[failure])[0];
}

/** The wait before a retry if the error knows none, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/**
 * Returns an error as HTTP. An error that is not Castellan's becomes `INTERNAL`, without its message.
 *
 * @param view `operator` for callers with the scope `operate`, who may see messages that name the machine's paths and other
 * sessions; see {@link publicError}
 * @param now milliseconds since the epoch
 */
export function httpError(error: unknown, view: ResponseView, now: number): HttpError {
  if (error instanceof RequestError) return refusal(error);
  if (!CastellanError.is(error)) {
    return { status: 500, type: "api_error", code: "INTERNAL", message: INTERNAL, headers: retryHeaders("no_retry") };
  }
  const [status, type, retry] = answerOf(error);
  return {
    status,
    type,
    code: error.code,
    message: messageOf(error, view),
    ...(CastellanError.is(error, "INVALID_OPTIONS") && { problems: error.details.problems }),
    headers: retryHeaders(retry, retryAtOf(error, retry, now)),
  };
}

const INTERNAL = "The server failed to process the request. Its log has the error under the id of this request.";

function refusal({ status, type, code, message, problems, retryAfterMs, allow }: RequestError): HttpError {
  return {
    status,
    type,
    code,
    message,
    ...(problems !== undefined && { problems }),
    headers: {
      ...(status === 429 || status === 503 ? retryHeaders("retry", retryAfterMs ?? RETRY_AFTER_MS) : {}),
      ...(allow !== undefined && { allow: allow.join(", ") }),
    },
  };
}

function answerOf(error: CastellanError): Answer {
  if (CastellanError.is(error, "TURN_FAILED")) return FAILED_TURNS[error.details.class];
  // What has taken effect, or may have on another node, is not to be sent again.
  const isApplied = "applied" in error.details && error.details.applied === true;
  const isUncertain = CastellanError.is(error, "CLUSTER_UNAVAILABLE") && error.details.reason === "uncertain";
  return isApplied || isUncertain ? DOWN : ANSWERS[error.code];
}

/** Returns the milliseconds until a retry makes sense, if there is one. */
function retryAtOf(error: CastellanError, retry: Retry, now: number): number | undefined {
  if (CastellanError.is(error, "TURN_FAILED") && error.details.retryAt !== undefined) {
    return Math.max(0, error.details.retryAt - now);
  }
  return retry === "retry" ? RETRY_AFTER_MS : undefined;
}

/** `retry-after` is in whole seconds. */
function retryHeaders(retry: Retry, afterMs?: number): Record<string, string> {
  return {
    "x-should-retry": String(retry === "retry"),
    ...(afterMs !== undefined && { "retry-after": String(Math.ceil(afterMs / 1_000)) }),
  };
}

/** The errors whose messages describe the caller's own request. The other messages may name paths, limits or sessions. */
const ABOUT_THE_REQUEST: ReadonlySet<ErrorCode> = new Set(["INVALID_OPTIONS", "COMMAND_NOT_FOUND", "STEER_REFUSED"]);

/** The errors whose messages suggest similar names, which the caller may not be allowed to see. */
const NOT_FOUND: { readonly [Code in ErrorCode]?: string } = {
  SESSION_NOT_FOUND: "There is no session of this name.",
  POOL_NOT_FOUND: "There is no pool of this name.",
  CHILD_NOT_FOUND: "There is no child of this name.",
};

function messageOf(error: CastellanError, view: ResponseView): string {
  const missing = NOT_FOUND[error.code];
  if (missing !== undefined) return missing;
  return view === "operator" || ABOUT_THE_REQUEST.has(error.code) ? error.message : publicError(error).message;
}
