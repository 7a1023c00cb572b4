import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "../src/duration.ts";

describe("parseDuration", () => {
  it.each<[unknown, number]>([
    [0, 0],
    [1500, 1500],
    [0.5, 0.5],
    ["250ms", 250],
    ["30s", 30_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["1.5h", 5_400_000],
    ["10 minutes", 600_000],
    ["100", 100],
    ["0s", 0],
  ])("reads %j as %d ms", (value, milliseconds) => {
    expect(parseDuration(value)).toBe(milliseconds);
  });

  it.each<[unknown]>([
    [-1],
    ["-5s"],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    ["Infinity"],
    [""],
    ["soon"],
    ["5 parsecs"],
    ["s"],
    [`${"1".repeat(200)}s`],
    [true],
    [null],
    [undefined],
    [{}],
    [["5s"]],
    [5n],
    [new Date(5)],
  ])("returns undefined for %o", (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it("never throws, and returns only finite spans that are not negative", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const milliseconds = parseDuration(value) ?? 0;
        expect(Number.isFinite(milliseconds) && milliseconds >= 0).toBe(true);
      }),
    );
  });
});

describe("formatDuration", () => {
  it.each([
    [0, "0ms"],
    [1, "1ms"],
    [250, "250ms"],
    [999.6, "1s"],
    [30_000, "30s"],
    [90_000, "90s"],
    [1_500, "1500ms"],
    [120_000, "2m"],
    [3_600_000, "1h"],
    [86_400_000, "1d"],
  ])("writes %d ms as %s", (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });

  it("writes every span so that parseDuration reads it back", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.nat({ max: 10 ** 10 }),
          fc.nat({ max: 5_000 }).map((seconds) => seconds * 1000),
        ),
        (span) => {
          expect(parseDuration(formatDuration(span))).toBe(span);
        },
      ),
    );
  });
});
