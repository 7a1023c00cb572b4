import { randomUUID } from "node:crypto";
import type { SDKAssistantMessageError, SDKMessage, SDKRateLimitInfo } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { apiFaultOf } from "../../src/claude/messages/api-fault.ts";
import { assistant, keepAlive, success, textBlock } from "../session/messages.ts";

function retry(error: SDKAssistantMessageError, error_status: number | null): SDKMessage {
  return {
    type: "system",
    subtype: "api_retry",
    attempt: 1,
    max_retries: 10,
    retry_delay_ms: 500,
    error_status,
    error,
    uuid: randomUUID(),
    session_id: "s",
  };
}

function limit(rate_limit_info: SDKRateLimitInfo): SDKMessage {
  return { type: "rate_limit_event", rate_limit_info, uuid: randomUUID(), session_id: "s" };
}

describe("apiFaultOf", () => {
  it.each<[SDKAssistantMessageError, number | null]>([
    ["authentication_failed", 401],
    ["verification_required", null],
    ["unknown", 401],
    ["unknown", 403],
  ])("treats the first retry after %s (%s) as a refused key", (error, status) => {
    const fault = apiFaultOf(retry(error, status));
    expect(fault).toMatchObject({ class: "auth", ...(status === null ? {} : { status }) });
  });

  it.each<[SDKAssistantMessageError, number | null]>([
    ["overloaded", 529],
    ["rate_limit", 429],
    ["server_error", 500],
    ["billing_error", 402],
    ["unknown", 402],
    ["unknown", null],
  ])("ignores a retry after %s (%s), which Claude Code handles", (error, status) => {
    expect(apiFaultOf(retry(error, status))).toBeUndefined();
  });

  it("reads a usage limit's reset in seconds and in milliseconds", () => {
    const until = Date.UTC(2026, 11, 24);
    expect(apiFaultOf(limit({ status: "rejected", resetsAt: until / 1000 }))).toEqual({ class: "quota", until });
    expect(apiFaultOf(limit({ status: "rejected", resetsAt: until }))).toEqual({ class: "quota", until });
  });

  it("ignores a limit that is not reached, and one without a reset", () => {
    expect(apiFaultOf(limit({ status: "allowed", resetsAt: 1e9 }))).toBeUndefined();
    expect(apiFaultOf(limit({ status: "allowed_warning", resetsAt: 1e9 }))).toBeUndefined();
    expect(apiFaultOf(limit({ status: "rejected" }))).toBeUndefined();
  });

  it("ignores other messages", () => {
    expect([keepAlive(), success(), assistant("m", [textBlock("hi")])].map(apiFaultOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
