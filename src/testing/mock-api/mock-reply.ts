import type { Fixture, FixtureResponse } from "@copilotkit/aimock";
import { withoutUndefined } from "../../fields.ts";
import type { MockRequest } from "./mock-request.ts";

/** An answer of the model. */
export interface MockAnswer {
  readonly text?: string;
  readonly thinking?: string;
  /** The tools that the model uses. Claude Code runs them and sends a request with their results. */
  readonly toolUses?: readonly { readonly name: string; readonly input: Readonly<Record<string, unknown>> }[];
  /** Milliseconds before the answer begins. Default: 0. */
  readonly delayMs?: number;
  /** The streaming rate, in pieces per second. Default: unlimited. */
  readonly tokensPerSecond?: number;
  /** Characters in a piece. Default: 8. */
  readonly pieceLength?: number;
  /** Breaks the connection after this many events. Default: never. */
  readonly cutAfter?: number;
  /** The reported tokens. Default: estimated from the lengths of request and answer. */
  readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number };
}

/** An API error. */
export interface MockFailure {
  readonly error: {
    /** HTTP status, such as 401, 429, 500 or 529. */
    readonly status: number;
    readonly message: string;
    /** Default: the type that matches the status. */
    readonly type?: string;
    /** Seconds; sent only with 429. Default: 1. */
    readonly retryAfter?: number;
  };
  /** Milliseconds before the error. Default: 0. */
  readonly delayMs?: number;
}

/** A reply of the API. A string is short for `{ text }`. */
export type MockReply = string | MockAnswer | MockFailure;

/** A reply, or a function that returns one for the request. */
export type MockResponse = MockReply | ((request: MockRequest) => MockReply | Promise<MockReply>);

/**
 * Selects the requests that a reply answers: by a string in the prompt, a regular expression for it, or a function of the request. Strings
 * and regular expressions never match requests with tool results.
 */
export type MockMatcher = string | RegExp | ((request: MockRequest) => boolean);

export function matches(matcher: MockMatcher, request: MockRequest): boolean {
  if (typeof matcher === "function") return matcher(request);
  if (request.toolResults.length > 0) return false;
  return typeof matcher === "string" ? request.prompt.includes(matcher) : request.prompt.search(matcher) >= 0;
}

/** Converts a reply to an aimock response and its pace. */
export function toFixture(
  reply: MockAnswer | MockFailure,
  request: MockRequest,
): { response: FixtureResponse; pace: Partial<Fixture> } {
  if ("error" in reply) {
    const { status, message, type, retryAfter } = reply.error;
    const error = { message, type: type ?? TYPES[status] ?? "api_error" };
    return { response: { error, status, ...withoutUndefined({ retryAfter }) }, pace: {} };
  }
  const { text = "", thinking, toolUses = [] } = reply;
  const usage = {
    input_tokens:
      reply.usage?.inputTokens ??
      tokens(request.messages.reduce((sum, message) => sum + message.text.length, request.system.length)),
    output_tokens:
      reply.usage?.outputTokens ?? tokens(text.length + (thinking?.length ?? 0) + JSON.stringify(toolUses).length),
  };
  const toolCalls = toolUses.map(({ name, input }) => ({ name, arguments: JSON.stringify(input) }));
  const common = { usage, ...withoutUndefined({ reasoning: thinking }) };
  const pace: Partial<Fixture> = {
    chunkSize: reply.pieceLength ?? 8,
    ...(reply.tokensPerSecond === undefined ? {} : { streamingProfile: { tps: reply.tokensPerSecond } }),
    ...withoutUndefined({ truncateAfterChunks: reply.cutAfter }),
  };
  if (toolCalls.length === 0) return { response: { content: text, ...common }, pace };
  return { response: { ...(text === "" ? {} : { content: text }), toolCalls, ...common }, pace };
}

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

/** Estimates four characters per token, and at least one, so that every turn has a cost. */
function tokens(characters: number): number {
  return Math.max(1, Math.ceil(characters / 4));
}
