import type { SDKAssistantMessageError, SDKResultError, TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import {
  commandFailureOf,
  failureOf,
  faultOf,
  type TurnFailure,
  wasInterrupted,
} from "../../src/claude/messages/failure.ts";
import { failure, success } from "../session/messages.ts";

/** What fixes each class: `auth` an account, `billing` money, `overload` time, `request` another prompt. */
const BY_ERROR: Record<SDKAssistantMessageError, TurnFailure["class"]> = {
  authentication_failed: "auth",
  oauth_org_not_allowed: "auth",
  account_on_hold: "auth",
  verification_required: "auth",
  billing_error: "billing",
  cloud_credential_error: "auth",
  rate_limit: "overload",
  overloaded: "overload",
  server_error: "overload",
  invalid_request: "request",
  model_not_found: "request",
  max_output_tokens: "turn",
  unknown: "request",
};

const BY_STATUS: [number | null | undefined, TurnFailure["class"]][] = [
  [400, "request"],
  [401, "auth"],
  [402, "billing"],
  [403, "auth"],
  [404, "request"],
  [413, "request"],
  [429, "overload"],
  [500, "overload"],
  [503, "overload"],
  [529, "overload"],
  [null, "unknown"],
  [undefined, "unknown"],
];

const BY_LIMIT: Record<SDKResultError["subtype"], [TurnFailure["class"], string]> = {
  error_max_turns: ["turn", "`maxTurns`"],
  error_max_budget_usd: ["turn", "`maxBudgetUsd`"],
  error_max_structured_output_retries: ["turn", "`outputFormat`"],
  error_during_execution: ["unknown", "it broke; badly"],
};

const BAD_REQUEST = { error: "invalid_request", status: 400 } as const;
// An error that the SDK's types do not know yet.
const LATER = "too_hot" as SDKAssistantMessageError;

describe("commandFailureOf", () => {
  const did = { commandRefused: false, compacted: false, text: "" };

  it("returns undefined for a command that worked, and for the model's turns", () => {
    expect(commandFailureOf(success(), did)).toBeUndefined();
    expect(commandFailureOf(success({ local_command: "context" }), did)).toBeUndefined();
    expect(commandFailureOf(success({ local_command: "compact" }), { ...did, compacted: true })).toBeUndefined();
    expect(commandFailureOf(failure("error_during_execution"), { ...did, commandRefused: true })).toBeUndefined();
  });

  it("returns the words of a command that reports a failure", () => {
    const found = commandFailureOf(success({ local_command: "custom" }), {
      ...did,
      commandRefused: true,
      text: "Shell command permission check failed",
    });
    expect(found).toEqual({ class: "turn", message: "Shell command permission check failed" });
  });

  it.each([
    ["Error: No messages to compact", { class: "turn", message: "No messages to compact" }],
    ["Error during compaction: API Error: 500 boom", { class: "overload", status: 500 }],
    ["Error during compaction: API Error: 401 bad key", { class: "auth", status: 401 }],
    ["Error during compaction: API Error: 400 bad", { class: "request", status: 400 }],
    ["", { class: "turn", message: "the command did nothing" }],
  ])("returns a failure for a missing summary: %s", (text, expected) => {
    const found = commandFailureOf(success({ local_command: "compact", result: "" }), { ...did, text });
    expect(found).toMatchObject(expected);
  });
});
/** Failed compactions of too long a request, as Claude Code 2.1.332 reports them. */
const COMPACTIONS: [string, TurnFailure["class"], number | undefined][] = [
  ["API Error: Connection dropped (ECONNRESET). Check the gateway, then try again.", "overload", undefined],
  ["API Error: 500 x. This is a server-side issue.", "overload", 500],
  ["API Error: 529 Overloaded. This is a server-side issue.", "overload", 529],
  ["API Error: Request rejected (429) · rate", "overload", 429],
  ["Invalid API key · Fix external API key", "auth", undefined],
  ["Failed to authenticate. API Error: 403 forbidden", "auth", 403],
  ["API Error: 402 billing", "billing", 402],
  ["API Error: 400 Your credit balance is too low", "billing", 400],
  ["API Error: 400 weird", "request", 400],
];

describe("failureOf", () => {
  it.each(COMPACTIONS)("classifies a failed compaction by its own error: %s", (words, expected, status) => {
    for (const [reason, answered] of [
      ["blocking_limit", null],
      ["prompt_too_long", 400],
    ] as const) {
      const result = success({
        is_error: true,
        result: `Prompt is too long · automatic compaction failed: ${words}`,
        api_error_status: answered,
        terminal_reason: reason,
      });
      const found = failureOf(result, "invalid_request");
      expect(found).toMatchObject({ class: expected, ...(status === undefined ? {} : { status }) });
      expect(found?.status).toBe(status);
      expect(found?.message).not.toMatch(/too long/);
      expect(found?.message).toContain(words);
    }
  });

  it("calls a prompt too long, also when its compaction failed over a wrong model", () => {
    const words = "Prompt is too long · automatic compaction failed: There's an issue with the selected model.";
    for (const result of ["Prompt is too long", words]) {
      const given = success({ is_error: true, result, api_error_status: 400, terminal_reason: "prompt_too_long" });
      expect(failureOf(given, "invalid_request")).toEqual({ class: "request", status: 400, message: result });
    }
  });

  it("returns undefined for a turn that succeeded, even after a failed request", () => {
    expect(failureOf(success(), undefined)).toBeUndefined();
    expect(failureOf(success(), "overloaded")).toBeUndefined();
  });

  it.each(Object.entries(BY_ERROR))("classifies %s as %s, before the status", (error, expected) => {
    const result = success({ is_error: true, result: "API Error: words", api_error_status: 418 });
    const found = failureOf(result, error as SDKAssistantMessageError);
    expect(found).toEqual({ class: expected, message: "API Error: words", status: 418 });
  });

  it.each(BY_STATUS)("classifies status %s as %s without a named error", (status, expected) => {
    const result = success({ is_error: true, ...(status === undefined ? {} : { api_error_status: status }) });
    const found = failureOf(result, undefined);
    expect(found?.class).toBe(expected);
    expect(found?.status).toBe(status ?? undefined);
  });

  it.each(Object.entries(BY_LIMIT))("classifies %s on its own", (subtype, [expected, words]) => {
    const result = failure(subtype as SDKResultError["subtype"], { errors: ["it broke", "badly"] });
    const found = failureOf(result, undefined);
    expect(found?.class).toBe(expected);
    expect(found?.message).toContain(words);
  });

  it.each<[TerminalReason, TurnFailure["class"]]>([
    ["prompt_too_long", "request"],
    ["image_error", "request"],
    ["budget_exhausted", "turn"],
    ["api_error", "overload"],
    ["completed", "unknown"],
  ])("classifies the terminal reason %s as %s without other facts", (terminal_reason, expected) => {
    expect(failureOf(failure("error_during_execution", { terminal_reason }), undefined)?.class).toBe(expected);
    expect(failureOf(success({ is_error: true, terminal_reason, api_error_status: 401 }), undefined)?.class).toBe(
      "auth",
    );
  });

  it.each<[string, Parameters<typeof faultOf>[0], TurnFailure["class"]]>([
    ["an exact code, before the error's name", { ...BAD_REQUEST, code: "org_disabled_credential" }, "auth"],
    ["an exact code about a key", { error: "invalid_request", status: 403, code: "api_key_auth_disabled" }, "auth"],
    [
      "an exact code about credit",
      { error: "rate_limit", status: 429, code: "model_requires_usage_credits" },
      "billing",
    ],
    ["a code named like a property of Object", { error: "overloaded", status: 529, code: "toString" }, "overload"],
    ["the API's type", { error: "rate_limit", status: 429, type: "billing_error" }, "billing"],
    ["an unspecific type of the API", { ...BAD_REQUEST, type: "invalid_request_error" }, "request"],
    ["the status beside a vague error", { error: "invalid_request", status: 401 }, "auth"],
    ["the status of a proxy", { error: "invalid_request", status: 403 }, "auth"],
    ["a specific error before the status", { error: "model_not_found", status: 403 }, "request"],
    ["the status beside an error of a later release", { error: LATER, status: 529 }, "overload"],
  ])("classifies by %s", (_, facts, expected) => {
    expect(faultOf(facts)?.class).toBe(expected);
  });

  it("reads the words only when the fields leave the class open", () => {
    const words = "API Error: 400 Your credit balance is too low to access the Anthropic API.";
    const facts = [
      [{ error: "unknown", status: 400 }, "billing"],
      [{ error: "invalid_request", status: 400 }, "billing"],
      [{ error: "rate_limit", status: 429 }, "billing"],
      [{ error: undefined, status: undefined }, "billing"],
      [{ error: "authentication_failed", status: 401 }, "auth"],
      [{ error: "unknown", status: 403 }, "auth"],
      [{ error: "overloaded", status: 529 }, "overload"],
      [{ error: "model_not_found", status: 404 }, "request"],
    ] as const;
    for (const [fact, expected] of facts) expect(faultOf({ ...fact, words })?.class).toBe(expected);
  });

  it("reads the reset of a usage limit from the words", () => {
    const words =
      "API Error: 400 You have reached your specified workspace API usage limits. You will regain access on";
    const result = `${words} 2026-12-01 at 00:00 UTC.`;
    expect(failureOf(success({ is_error: true, api_error_status: 400, result }), "unknown")).toEqual({
      class: "quota",
      until: Date.UTC(2026, 11, 1),
      status: 400,
      message: result,
    });
  });

  it("always has a message", () => {
    expect(failureOf(failure("error_during_execution"), undefined)?.message).toBe("Claude Code gave no reason");
    expect(failureOf(success({ is_error: true, result: "" }), undefined)?.message).toBe("Claude Code gave no reason");
  });
});

describe("wasInterrupted", () => {
  const others: TerminalReason[] = ["completed", "max_turns", "api_error", "prompt_too_long", "hook_stopped"];

  it("is true for the two terminal reasons of an interrupt only", () => {
    expect(wasInterrupted(failure("error_during_execution", { terminal_reason: "aborted_streaming" }))).toBe(true);
    expect(wasInterrupted(failure("error_during_execution", { terminal_reason: "aborted_tools" }))).toBe(true);
    for (const terminal_reason of others) expect(wasInterrupted(success({ terminal_reason }))).toBe(false);
    const { terminal_reason: _, ...silent } = success();
    expect(wasInterrupted(silent)).toBe(false);
  });
});
