import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastellanError } from "../src/errors.ts";
import { formatName, nameOfKey } from "../src/names.ts";
import { printable } from "../src/printable.ts";

/**
 * Characters that a terminal or a text editor acts on: escapes, C1, directions, line separators, tags, a lone
 * surrogate.
 */
const HOSTILE = [
  "\u001b[2J",
  "\u009b31m",
  "\u007f",
  "\u202e",
  "\u2066",
  "\u2028",
  "\u{e0041}",
  "\ud800",
  "\r",
  "\u200b",
];

const isObeyed = (text: string): boolean =>
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(text.replaceAll(/\n|\t|\u200c|\u200d/g, ""));

describe("printable", () => {
  it.each(HOSTILE)("escapes %j and leaves the text around it", (hostile) => {
    const shown = printable(`before ${hostile} after\n\tعربي नमस्ते 👩‍👩‍👧`);
    expect(shown).toMatch(/^before \\u[0-9a-f]{4}.* after\n\tعربي नमस्ते 👩‍👩‍👧$/);
    expect(isObeyed(shown)).toBe(false);
  });

  it("escapes every control character in any text, and is idempotent", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom(...HOSTILE), (text, hostile) => {
        const shown = printable(text + hostile + text);
        expect(isObeyed(shown)).toBe(false);
        expect(printable(shown)).toBe(shown);
      }),
    );
  });

  it("keeps formatted names parsable", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (name) => {
        expect(nameOfKey(formatName([name, 1]))).toEqual([name, 1]);
        expect(isObeyed(formatName(name))).toBe(false);
      }),
    );
  });

  it("is applied to the message of every error", () => {
    const { message } = new CastellanError("SESSION_BUSY", "it said \u001b]0;title\u0007 and \u202eworse");
    expect(message).toBe("it said \\u001b]0;title\\u0007 and \\u202eworse");
  });
});
