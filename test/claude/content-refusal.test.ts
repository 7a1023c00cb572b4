import type { TerminalReason } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { type ContentRefusal, contentRefusalOf } from "../../src/claude/messages/content-refusal.ts";
import { failureOf } from "../../src/claude/messages/failure.ts";
import { success } from "../session/messages.ts";

/** Messages of Claude Code 2.1.332. */
const REFUSALS: [string, number | null, TerminalReason, ContentRefusal | undefined][] = [
  ["Prompt is too long", 400, "prompt_too_long", "length"],
  ["Prompt is too long", null, "blocking_limit", "length"],
  ["The PDF file was not valid. Try converting it to text first (e.g., pdftotext).", 400, "image_error", "media"],
  ["Request too large (max 32MB). Accumulated images and attachments", 413, "image_error", "media"],
  ["API Error: 400 messages.3.content.0.tool_result.content.0.image.source: bad", 400, "api_error", "media"],
  ["API Error: 400 messages.5.content.1.document.source: bad", 400, "api_error", "media"],
  ["API Error: 400 messages.3.content.0.tool_result.content: should be a list", 400, "api_error", "structure"],
  ["API Error: 400 messages.1.content.0: `thinking` blocks cannot be modified", 400, "api_error", "structure"],
  ["API Error: 400 due to tool use concurrency issues.", 400, "api_error", "structure"],
  ["API Error: 400 Output blocked by content filtering policy", 400, "api_error", "other"],
  ["API Error: 400 thinking.budget_tokens: too small", 400, "api_error", "other"],
  ["API Error: 422 no", 422, "api_error", "other"],
  ["There's an issue with the selected model. It may not exist.", 404, "api_error", undefined],
  ["API Error: 500 Internal server error", 500, "api_error", undefined],
  ["API Error: Request rejected (429) · slow down", 429, "api_error", undefined],
  ["Failed to authenticate. API Error: 401 invalid x-api-key", 401, "api_error", undefined],
  ["API Error: 400 Your credit balance is too low to access the Anthropic API.", 400, "api_error", undefined],
];

test.each(REFUSALS)("contentRefusalOf(): %s (%s)", (words, status, reason, expected) => {
  const result = success({ is_error: true, result: words, api_error_status: status, terminal_reason: reason });
  const failure = failureOf(result, words.startsWith("API Error") ? "unknown" : "invalid_request");
  const known = status === 404 ? failureOf(result, "model_not_found") : failure;
  expect(contentRefusalOf(result, known)).toBe(expected);
});

test("contentRefusalOf(): returns undefined for a turn that succeeded", () => {
  expect(contentRefusalOf(success(), undefined)).toBeUndefined();
});

test("contentRefusalOf(): reads a megabyte of words within half a second", () => {
  const words = `API Error: 400 ${"messages.1.content.1 ".repeat(50_000)}`;
  const result = success({ is_error: true, result: words, api_error_status: 400, terminal_reason: "api_error" });
  const since = performance.now();
  expect(contentRefusalOf(result, failureOf(result, "unknown"))).toBe("other");
  expect(performance.now() - since).toBeLessThan(500);
});
