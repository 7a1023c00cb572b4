import { expect, test } from "vitest";
import { skewChange, skewProblem } from "../../src/cluster/clock-skew.ts";

const TEN_MINUTES = 600_000;

test.each([
  [0, 0],
  [15_000, 0],
  [-15_000, 10],
  // The measurement took so long that the difference may be harmless.
  [20_000, 6_000],
])("skewProblem: is none for %d ms, known within %d ms", (aheadMs, withinMs) => {
  expect(skewProblem({ aheadMs, withinMs })).toBeUndefined();
});

test.each([
  [TEN_MINUTES, "10m ahead of"],
  [-TEN_MINUTES, "10m behind"],
  [16_400, "16s ahead of"],
])("skewProblem: names the difference of %d ms", (aheadMs, words) => {
  expect(skewProblem({ aheadMs, withinMs: 100 })).toContain(
    `the clock of this machine is ${words} the database's, and 15s are allowed`,
  );
});

test("skewChange: tells of a problem once, of a changed one, and of its end", () => {
  const [ten, twenty] = [TEN_MINUTES, 2 * TEN_MINUTES].map((aheadMs) => ({ aheadMs, withinMs: 1 }));
  const none = { aheadMs: 3, withinMs: 1 };
  expect(skewChange(undefined, undefined)).toEqual({ type: "none" });
  expect(skewChange(undefined, none)).toEqual({ type: "none" });
  expect(skewChange(undefined, ten)).toMatchObject({ type: "problem", problem: expect.stringContaining("10m") });
  expect(skewChange(ten, { aheadMs: TEN_MINUTES + 900, withinMs: 1 })).toEqual({ type: "none" });
  expect(skewChange(ten, twenty)).toMatchObject({ type: "problem", problem: expect.stringContaining("20m") });
  expect(skewChange(ten, none)).toEqual({ type: "over" });
});
