import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { checkPrompt } from "../../src/session/prompt.ts";

function refusal(prompt: unknown): string {
  try {
    checkPrompt(prompt, 'session "a"');
  } catch (error) {
    if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    expect(error.details.problems.map(({ field }) => field)).toEqual(["prompt"]);
    return error.message;
  }
  return "";
}

describe("checkPrompt", () => {
  it.each(["Hello", " x ", "/clear", "日本", "x".repeat(1_000_000)])("takes text", (prompt) => {
    expect(refusal(prompt)).toBe("");
  });

  it.each<[unknown, string]>([
    ["", "is empty"],
    [" \n\t", "is empty"],
    [undefined, "type undefined"],
    [null, "null"],
    [7, "type number"],
    [{ text: "hi" }, "type object"],
    [["hi"], "an array"],
    [Promise.resolve("hi"), "type object"],
    ["x".repeat(20_000_001), "20000001 characters"],
  ])("refuses what is no prompt (%#)", (prompt, words) => {
    const message = refusal(prompt);
    expect(message).toContain(words);
    expect(message).toContain('session "a"');
    expect(message.length).toBeLessThan(200);
  });
});
