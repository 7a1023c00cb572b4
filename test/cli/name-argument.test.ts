import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nameArgument, parseLocalName, parseName } from "../../src/cli/terminal/name-argument.ts";
import type { SessionName } from "../../src/names.ts";

describe("parseName", () => {
  it.each([
    ["assistant", "assistant"],
    ["support/42", ["support", 42]],
    ["support/042", ["support", "042"]],
    ["support/ann/1", ["support", "ann", 1]],
    ["42", "42"],
    ["42/7", ["42", 7]],
    ['["support","42"]', ["support", "42"]],
    ['"a/b"', "a/b"],
    ["global:support/42", { global: ["support", 42] }],
  ])("reads %s", (text, name) => {
    expect(parseName(text)).toEqual(name);
  });

  it.each(["", "/", "a/", "global:", '["support"', "[]", "[42]", '""'])("refuses %j", (text) => {
    expect(() => parseName(text)).toThrow("Expected a name");
  });

  it("reads every name back that it formats", () => {
    const part = fc.oneof(
      fc.string({ minLength: 1, maxLength: 8 }),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    const name = fc.oneof(
      fc.string({ minLength: 1, maxLength: 8 }),
      fc.tuple(fc.string({ minLength: 1, maxLength: 8 }), part, part),
      fc.tuple(fc.constantFrom("a/b", "global:a", "[", '"', "1")),
    );
    fc.assert(
      fc.property(name, (given) => {
        // JSON has no negative zero.
        fc.pre(
          !JSON.stringify(given).includes("-0") && !(Array.isArray(given) && given.some((one) => Object.is(one, -0))),
        );
        const text = nameArgument(given as SessionName);
        expect(parseLocalName(text)).toEqual(given);
        expect(parseName(nameArgument({ global: given as SessionName }))).toEqual({ global: given });
      }),
    );
  });
});
