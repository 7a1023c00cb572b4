import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromText, toText } from "../../src/journal/model/stored-text.ts";

/** Any text that JavaScript can hold, with many difficult characters. */
const difficult = fc.constantFrom("\0", "␐", "␐0000", "\uD83D", "\uDE00", "😀", "0", "d83d");
const anyText = fc
  .array(
    fc.oneof(
      difficult,
      fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
    ),
  )
  .map((parts) => parts.join(""));

describe("toText and fromText of SQLite", () => {
  it("round-trip any text through one that SQLite can store", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const stored = toText(text);
        expect(fromText(stored)).toBe(text);
        expect(stored.isWellFormed()).toBe(true);
        expect(stored).not.toContain("\0");
      }),
    );
  });

  it("keep prefixes", () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        // Unless the cut is inside a surrogate pair.
        fc.pre(!/[\uD800-\uDBFF]$/.test(one) || !/^[\uDC00-\uDFFF]/.test(other));
        expect(toText(one + other).startsWith(toText(one))).toBe(true);
      }),
    );
  });

  it("leave storable text readable", () => {
    expect(toText('{"user":"Zoë 😀"}\n')).toBe('{"user":"Zoë 😀"}\n');
    expect(toText("a\0b\uD83Dc␐")).toBe("a␐0000b␐d83dc␐2410");
  });
});
