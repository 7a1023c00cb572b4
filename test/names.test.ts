import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nameKey, nameOfKey, nameProblem, nearMisses, type SessionName } from "../src/names.ts";

const word = fc.string({ minLength: 1, maxLength: 20, unit: "binary" }).filter((text) => text !== "");
const part = fc.oneof(
  word,
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
);
const tuple: fc.Arbitrary<SessionName> = fc
  .tuple(word, fc.array(part, { maxLength: 4 }))
  .map(([first, rest]) => [first, ...rest]);
const name: fc.Arbitrary<SessionName> = fc.oneof(word, tuple);

describe("nameProblem", () => {
  it.each<[unknown]>([["assistant"], [["user"]], [["user", 42]], [["user", "42", -1.5]], ["日本"], [" "]])(
    "accepts %j",
    (value) => {
      expect(nameProblem(value)).toBeUndefined();
    },
  );

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["number 7", 7],
    ["an object", { name: "a" }],
    ["empty string", ""],
    ["empty tuple", []],
    ["number 42 where a string is needed", [42, "user"]],
    ["number NaN", ["user", Number.NaN]],
    ["number Infinity", ["user", Number.POSITIVE_INFINITY]],
    ["a nested tuple", ["user", ["a"]]],
    ["null", ["user", null]],
    ["boolean true", ["user", true]],
    ["empty string", ["user", ""]],
    ["longer than 512", "x".repeat(511)],
    ["longer than 512", Array.from({ length: 200 }, () => "abc")],
  ])("reports %s", (words, value) => {
    expect(nameProblem(value)).toContain(words);
  });

  it("accepts a name of exactly the maximum length, quotes included", () => {
    expect(nameProblem("x".repeat(510))).toBeUndefined();
  });
});

describe("nameKey", () => {
  it("distinguishes a string, a tuple of it, and a number from its digits", () => {
    const names: SessionName[] = ["user", ["user"], ["user", "42"], ["user", 42], '["user"]', ["user,42"]];
    expect(new Set(names.map(nameKey)).size).toBe(names.length);
  });

  it("is equal for equal names only, and converts back to the name", () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        expect(nameOfKey(nameKey(one))).toEqual(one);
        expect(nameKey(structuredClone(one))).toBe(nameKey(one));
        if (nameKey(one) === nameKey(other)) expect(one).toEqual(other);
      }),
    );
  });
});

describe("nearMisses", () => {
  const known = ["systemPrompt", "allowedTools", "disallowedTools", "tools", "model", "maxTurns"];

  it.each([
    ["systemprompt", "systemPrompt"],
    ["sytemPrompt", "systemPrompt"],
    ["tool", "tools"],
    ["alowedTools", "allowedTools"],
    ["maxTurn", "maxTurns"],
  ])("finds for %s first %s", (wanted, meant) => {
    expect(nearMisses(wanted, known)[0]).toBe(meant);
  });

  it("returns nothing when no name is near", () => {
    expect(nearMisses("temperature", known)).toEqual([]);
    expect(nearMisses("x", [])).toEqual([]);
  });

  it("returns at most three names, the nearest first", () => {
    expect(nearMisses("user-1", ["user-222", "user-2", "user-1x", "user-1", "user-33"])).toEqual([
      "user-1",
      "user-2",
      "user-1x",
    ]);
  });
});
