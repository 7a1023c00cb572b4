import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultInWords, type SpokenFault } from "../../src/claude/messages/api-words.ts";

const LIMIT =
  "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.";
const QUOTA: SpokenFault = { class: "quota", until: Date.UTC(2026, 11, 1) };
const CREDIT =
  "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
const DISABLED = "This organization has been disabled.";

/** An error in the API's JSON. */
const sent = (message: string): string =>
  JSON.stringify({ type: "error", error: { type: "invalid_request_error", message }, request_id: "req_1" });

const FAULTS: [string, SpokenFault][] = [
  [LIMIT, QUOTA],
  ["You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.", QUOTA],
  ["You have reached your specified organization API usage limits. You will regain access on 2026-12-01.", QUOTA],
  [
    LIMIT.replace("2026-12-01 at 00:00", "2027-02-28 at 13:30"),
    { class: "quota", until: Date.UTC(2027, 1, 28, 13, 30) },
  ],
  ["You have reached your specified API usage limits.", { class: "billing" }],
  [LIMIT.replace("2026-12-01", "2026-13-41"), { class: "billing" }],
  [LIMIT.replace("2026-12-01 at 00:00 UTC", "the first of December"), { class: "billing" }],
  [CREDIT, { class: "billing" }],
  ["Credit balance is too low", { class: "billing" }],
  ["Credit balance is too low · Add funds: https://example.com/billing", { class: "billing" }],
  [DISABLED, { class: "auth" }],
  ["Your organization has been disabled by its administrator.", { class: "auth" }],
  ["Your ANTHROPIC_API_KEY belongs to a disabled organization · Update or unset it", { class: "auth" }],
];

describe("faultInWords", () => {
  it.each(FAULTS)("classifies %j", (words, fault) => {
    expect(faultInWords(words)).toEqual(fault);
  });

  it.each<[string, (words: string) => string]>([
    ["the message of Claude Code", (words) => `API Error: 400 ${words}`],
    ["Claude Code's message about a rate limit", (words) => `API Error: Request rejected (429) · ${words}`],
    ["Claude Code's message about a key", (words) => `Failed to authenticate. API Error: 403 ${words}`],
    ["an older Claude Code, which prints the whole answer", (words) => `API Error: 400 ${sent(words)}`],
    ["a gateway", (words) => `API Error: 400 litellm.BadRequestError: AnthropicException - ${sent(words)}`],
    ["a gateway behind a gateway", (words) => `API Error: 400 ${sent(`upstream said: ${sent(words)}`)}`],
  ])("classifies the words within %s", (_, spoken) => {
    for (const [words, fault] of FAULTS) expect(faultInWords(spoken(words)), words).toEqual(fault);
  });

  it.each([
    "",
    "API Error: 400 messages.0.content: text is required",
    "API Error: Request rejected (429) · This request would exceed your organization's rate limit",
    `API Error: 400 messages.2.content: the text "${LIMIT}" is too long`,
    `API Error: 400 tools.0.name: ${DISABLED}`,
    `prompt: ${CREDIT}`,
    sent(`messages.0: ${LIMIT}`),
    `API Error: 400 messages.0: ${sent(LIMIT)} is no text`,
    `API Error: 400 messages.0: not allowed: "${sent(LIMIT).replaceAll('"', "'")}"`,
    `API Error: 400 tools.0.name: "x" ${sent(LIMIT)}`,
    JSON.stringify({ message: LIMIT }),
    sent("\\u12"),
    '{"message": "\\x"}',
  ])("finds no fault in %j, though it may quote one", (words) => {
    expect(faultInWords(words)).toBeUndefined();
  });

  it("handles any words of any length", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 5_000 }), (words) => {
        expect(faultInWords(words)).toBeUndefined();
        expect(faultInWords(`API Error: 400 ${LIMIT} ${words}`)).toEqual(QUOTA);
      }),
    );
    expect(faultInWords(`{"error":{"message":"${"{".repeat(5_000_000)}`)).toBeUndefined();
  });
});
