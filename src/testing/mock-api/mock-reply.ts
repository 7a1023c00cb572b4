import type { Fixture, FixtureResponse } from "@copilotkit/aimock";
import { withoutUndefined } from "../../fields.ts";
import type { MockRequest } from "./mock-request.ts";

/** An answer of the model. */
export interface MockAnswer {
  readonly text?: string;
  readonly thinking?: string;
  /** Tools that the model uses; Claude Code runs them for real and asks again with their results. */
  readonly toolUses?: readonly { readonly name: string; readonly input: Readonly<Record<string, unknown>> }[];
  /** Milliseconds before the answer begins. Default: 0. */
  readonly delayMs?: number;
  /** How fast it streams, in pieces per second. Default: as fast as it goes. */
  readonly tokensPerSecond?: number;
  /** Characters in a piece. Default: 8. */
  readonly pieceLength?: number;
  /** Breaks the connection after this many events. Default: never. */
  readonly cutAfter?: number;
  /** Tokens on the bill. Default: estimated from the lengths of request and answer. */
  readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number };
}

/** An answer of the API that is no success. */
export interface MockFailure {
  readonly error: {
    /** HTTP status, such as 401, 429, 500 or 529. */
    readonly status: number;
    readonly message: string;
    /** Default: what belongs to the status. */
    readonly type?: string;
    /** Seconds; sent with 429 only. Default: 1. */
    readonly retryAfter?: number;
  };
  /** Milliseconds before it is sent. Default: 0. */
  readonly delayMs?: number;
}

/** What the API says: a text is short for `{ text }`. */
export type MockReply = string | MockAnswer | MockFailure;

/** A reply, or a function that finds one for the request. */
export type MockResponse = MockReply | ((request: MockRequest) => MockReply | Promise<MockReply>);

/**
 * Which requests a reply is for. A string is looked for in the prompt, a regular expression is tried on it; both leave requests alone
 * that bring tool results. A function sees every request.
 */
export type MockMatcher = string | RegExp | ((request: MockRequest) => boolean);

export function matches(matcher: MockMatcher, request: MockRequest): boolean {
  if (typeof matcher === "function") return matcher(request);
  if (request.toolResults.length > 0) return false;
  return typeof matcher === "string" ? request.prompt.includes(matcher) : request.prompt.search(matcher) >= 0;
}

/** The same reply in aimock's terms, and how it is paced. */
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

/** About four characters a token, and never nothing, so that every turn costs something. */
function tokens(characters: number): number {
  return Math.max(1, Math.ceil(characters / 4));
}
