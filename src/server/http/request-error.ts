import type { OptionProblem } from "../../errors.ts";

/** The error types of Anthropic's API that this server sends. */
export type AnthropicErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "billing_error"
  | "permission_error"
  | "not_found_error"
  | "request_too_large"
  | "rate_limit_error"
  | "timeout_error"
  | "overloaded_error"
  | "api_error";

/** Why the server itself refuses a request. */
export type RequestErrorCode =
  | "MALFORMED_REQUEST"
  | "UNSUPPORTED"
  | "BAD_HOST"
  | "BAD_ORIGIN"
  | "UNAUTHENTICATED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "REQUEST_TOO_LARGE"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "RATE_LIMITED"
  | "TOO_MANY_STREAMS";

/** The answers by code. None is 408 or 409: Anthropic's SDK retries those. */
const ANSWERS: { readonly [Code in RequestErrorCode]: readonly [status: number, type: AnthropicErrorType] } = {
  MALFORMED_REQUEST: [400, "invalid_request_error"],
  UNSUPPORTED: [400, "invalid_request_error"],
  BAD_HOST: [403, "permission_error"],
  BAD_ORIGIN: [403, "permission_error"],
  UNAUTHENTICATED: [401, "authentication_error"],
  FORBIDDEN: [403, "permission_error"],
  NOT_FOUND: [404, "not_found_error"],
  METHOD_NOT_ALLOWED: [405, "invalid_request_error"],
  REQUEST_TOO_LARGE: [413, "request_too_large"],
  UNSUPPORTED_MEDIA_TYPE: [415, "invalid_request_error"],
  RATE_LIMITED: [429, "rate_limit_error"],
  TOO_MANY_STREAMS: [429, "rate_limit_error"],
};

/** Facts of a refusal beyond its code and message. */
export interface RequestErrorInit {
  /** How long the caller should wait before a retry, in milliseconds. Sent as `retry-after`. */
  readonly retryAfterMs?: number;
  /** The invalid fields of the request. */
  readonly problems?: readonly OptionProblem[];
  /** The allowed methods, for the header `allow`. */
  readonly allow?: readonly string[];
  readonly cause?: unknown;
}

/**
 * A request that the server refuses before the library sees it. The message goes to the caller, so it holds no key and
 * no name that the caller may not know.
 */
export class RequestError extends Error {
  override readonly name: string = "RequestError";
  readonly code: RequestErrorCode;
  readonly status: number;
  readonly type: AnthropicErrorType;
  readonly retryAfterMs: number | undefined;
  readonly problems: readonly OptionProblem[] | undefined;
  readonly allow: readonly string[] | undefined;

  constructor(code: RequestErrorCode, message: string, init: RequestErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    [this.status, this.type] = ANSWERS[code];
    this.retryAfterMs = init.retryAfterMs;
    this.problems = init.problems;
    this.allow = init.allow;
  }
}
