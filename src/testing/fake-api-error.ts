import type { FakeApiError } from "./fake-turn.ts";

/** An API error in the words that Claude Code has for it. */
export interface SpokenApiError {
  /** The SDK's word for it. */
  readonly error: string;
  /** The word in the `api_retry` messages before, where it is another one. */
  readonly retryError: string;
  /** What Claude Code says in the model's place. */
  readonly text: string;
  /** What the message and the result tell of the API's answer. */
  readonly facts: Readonly<Record<string, unknown>>;
}

interface Known {
  readonly error: string;
  readonly retryError?: string;
  readonly type: string;
  readonly message: string;
  readonly text: (message: string) => string;
}

/** What Claude Code 2.1.332 makes of an error of the API, as recorded from it. */
export function spokenApiError(given: FakeApiError): SpokenApiError {
  const { status } = given;
  if (status === undefined) {
    return {
      error: given.error ?? "server_error",
      retryError: "unknown",
      text: given.text ?? "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
      facts: { api_error: "connection_failed" },
    };
  }
  const known = KNOWN[status] ?? otherError(status);
  const error = given.error ?? known.error;
  return {
    error,
    retryError: known.retryError ?? error,
    text: given.text ?? known.text(given.message ?? known.message),
    facts: { api_error_status: status, api_error_type: known.type },
  };
}

const SERVER =
  "This is a server-side issue, usually temporary — try again in a moment. If it persists, check your inference gateway (127.0.0.1).";

const KNOWN: Readonly<Record<number, Known>> = {
  400: {
    error: "unknown",
    type: "invalid_request_error",
    message: "invalid request",
    text: (message) => `API Error: 400 ${message}`,
  },
  401: {
    error: "authentication_failed",
    type: "authentication_error",
    message: "invalid x-api-key",
    text: (message) => `Failed to authenticate. API Error: 401 ${message}`,
  },
  403: {
    error: "authentication_failed",
    type: "permission_error",
    message: "forbidden",
    text: (message) => `Failed to authenticate. API Error: 403 ${message}`,
  },
  404: {
    error: "model_not_found",
    type: "not_found_error",
    message: "model not found",
    text: () => "There's an issue with the selected model. It may not exist or you may not have access to it.",
  },
  429: {
    error: "rate_limit",
    type: "rate_limit_error",
    message: "Rate limited",
    text: (message) => `API Error: Request rejected (429) · ${message}`,
  },
  529: {
    error: "server_error",
    retryError: "overloaded",
    type: "overloaded_error",
    message: "Overloaded",
    text: (message) => `API Error: 529 ${message}. ${SERVER}`,
  },
};

function otherError(status: number): Known {
  const server = status >= 500;
  return {
    error: server ? "server_error" : "unknown",
    type: "api_error",
    message: server ? "Internal server error" : "error",
    text: (message) => `API Error: ${status} ${message}${server ? `. ${SERVER}` : ""}`,
  };
}
