import type { TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import type { FakeApiError } from "./fake-turn.ts";

/** An API error as Claude Code reports it. */
export interface ApiErrorReport {
  /** The SDK's name of the error. */
  readonly error: string;
  /** The name of the error in preceding `api_retry` messages. */
  readonly retryError: string;
  /** The text that Claude Code sends in place of an answer. */
  readonly text: string;
  /** The fields of message and result that describe the API's answer. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** The terminal reason of the turn. */
  readonly terminalReason: TerminalReason;
  /** Whether Claude Code has tried to compact the conversation first. */
  readonly compacted: boolean;
}

interface Known {
  readonly error: string;
  readonly retryError?: string;
  readonly type: string;
  readonly message: string;
  readonly text: (message: string) => string;
}

/** How Claude Code 2.1.332 reports an API error, as recorded from it. */
export function describeApiError(given: FakeApiError): ApiErrorReport {
  const { status } = given;
  if (status === undefined) {
    return {
      error: given.error ?? "server_error",
      retryError: "unknown",
      text: given.text ?? "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
      facts: { api_error: "connection_failed" },
      terminalReason: "api_error",
      compacted: false,
    };
  }
  const known = KNOWN[status] ?? otherError(status);
  const message = given.message ?? known.message;
  const understood = UNDERSTOOD.find(({ status: only, words }) => (only ?? status) === status && words.test(message));
  const error = given.error ?? understood?.error ?? known.error;
  return {
    error,
    retryError: known.retryError ?? error,
    text: given.text ?? understood?.text ?? known.text(message),
    facts: { api_error_status: status, api_error_type: known.type, ...understood?.facts },
    terminalReason: understood?.terminalReason ?? "api_error",
    compacted: understood?.terminalReason !== undefined,
  };
}

/** Messages of the API that Claude Code recognises, some only with a certain status, and replaces by its own. */
const UNDERSTOOD: readonly {
  readonly status?: number;
  readonly words: RegExp;
  readonly error: string;
  readonly text: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly terminalReason?: TerminalReason;
}[] = [
  {
    status: 400,
    words: /prompt is too long/i,
    error: "invalid_request",
    text: "Prompt is too long",
    terminalReason: "prompt_too_long",
  },
  {
    status: 413,
    words: /^/,
    error: "invalid_request",
    text: "Request too large (max 32MB). Accumulated images and attachments in the conversation pushed the request over the limit. Remove older images or compact the conversation.",
    terminalReason: "image_error",
  },
  { words: /credit balance is too low/i, error: "billing_error", text: "Credit balance is too low" },
  {
    status: 400,
    words: /organization has been disabled/i,
    error: "invalid_request",
    text: "Your ANTHROPIC_API_KEY belongs to a disabled organization · Update or unset the environment variable",
    facts: { api_error: "org_disabled_credential" },
  },
];

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
  402: {
    error: "unknown",
    type: "billing_error",
    message: "There's an issue with your billing or payment information.",
    text: (message) => `API Error: 402 ${message}`,
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
  413: {
    error: "invalid_request",
    type: "request_too_large",
    message: "Request exceeds the maximum size",
    text: (message) => `API Error: 413 ${message}`,
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
