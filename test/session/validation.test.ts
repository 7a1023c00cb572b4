import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CastellanError, type OptionProblem } from "../../src/errors.ts";
import { didYouMean } from "../../src/names.ts";
import { invalidOptions, validate } from "../../src/session/options/validation.ts";

const schema = z.strictObject({
  size: z.int().positive(),
  mode: z.union([z.literal("fast"), z.strictObject({ level: z.number() })]).optional(),
  password: z.string().optional(),
  nested: z.strictObject({ depth: z.number() }).optional(),
});

function problemsOf(input: unknown, at?: string): readonly OptionProblem[] {
  try {
    validate(schema, input, "thing", at);
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error.details.problems;
    throw error;
  }
  return [];
}

describe("validate", () => {
  it("returns the parsed value", () => {
    expect(validate(schema, { size: 3, mode: "fast" }, "thing")).toEqual({ size: 3, mode: "fast" });
  });

  it("names the field, what is allowed and what was given", () => {
    expect(problemsOf({ size: 0 })).toEqual([{ field: "size", message: expect.stringMatching(/>0; got 0$/) }]);
    expect(problemsOf({})).toEqual([{ field: "size", message: expect.stringMatching(/number.*; got nothing$/) }]);
  });

  it("names all choices of a union", () => {
    const [problem] = problemsOf({ size: 1, mode: "slow" });
    expect(problem?.message).toContain('"fast"');
    expect(problem?.message).toContain("object");
    expect(problem?.message).toContain('got "slow"');
    expect(problemsOf({ size: 1, mode: { level: "high" } })[0]?.message).toContain("level");
  });

  it("names nested fields, and the place of the whole", () => {
    expect(problemsOf({ size: 1, nested: { depth: "x" } }, "items[3]").map(({ field }) => field)).toEqual([
      "items[3].nested.depth",
    ]);
    expect(problemsOf(7, "items[3]").map(({ field }) => field)).toEqual(["items[3]"]);
  });

  it("hides the value of a secret, and states its type", () => {
    expect(problemsOf({ size: 1, password: 1234567 })[0]?.message).toMatch(/; got a number$/);
  });
});

describe("invalidOptions", () => {
  it("prints one problem inline, and several as a list", () => {
    const [one, other] = [
      { field: "size", message: "is too big" },
      { field: "", message: "is odd" },
    ];
    expect(invalidOptions("thing", [one]).message).toBe("thing: `size`: is too big.");
    expect(invalidOptions("thing", [one, other]).message).toBe("thing:\n  - `size`: is too big\n  - is odd");
    expect(invalidOptions("thing", [one, other]).details.problems).toEqual([one, other]);
  });
});

describe("didYouMean", () => {
  it.each([
    [[], ""],
    [["a"], "; did you mean `a`?"],
    [["a", "b"], "; did you mean `a` or `b`?"],
  ])("formats %j", (candidates, words) => {
    expect(didYouMean(candidates)).toBe(words);
  });
});
