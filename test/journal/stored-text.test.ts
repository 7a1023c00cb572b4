import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromText, toText } from "../../src/journal/model/stored-text.ts";

/** Any text that JavaScript can hold, with much of what is difficult in it. */
const difficult = fc.constantFrom("\0", "␐", "␐0000", "\uD83D", "\uDE00", "😀", "0", "d83d");
const anyText = fc
  .array(
    fc.oneof(
      difficult,
      fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
    ),
  )
  .map((parts) => parts.join(""));

describe("a text", () => {
  it("comes back as it was, and is one that SQLite can hold", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const stored = toText(text);
        expect(fromText(stored)).toBe(text);
        expect(stored.isWellFormed()).toBe(true);
        expect(stored).not.toContain("\0");
      }),
    );
  });

  it("begins with the same as before", () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        // Unless it was cut in the middle of a character.
        fc.pre(!/[\uD800-\uDBFF]$/.test(one) || !/^[\uDC00-\uDFFF]/.test(other));
        expect(toText(one + other).startsWith(toText(one))).toBe(true);
      }),
    );
  });

  it("stays readable where it can", () => {
    expect(toText('{"user":"Zoë 😀"}\n')).toBe('{"user":"Zoë 😀"}\n');
    expect(toText("a\0b\uD83Dc␐")).toBe("a␐0000b␐d83dc␐2410");
  });
});
