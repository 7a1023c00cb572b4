import { expect, it } from "vitest";
import { formatMemory, parseMemory } from "../../src/capacity/memory-size.ts";

it.each([
  [1, 1],
  ["500MB", 500 * 2 ** 20],
  ["500 mb", 500 * 2 ** 20],
  ["1.5GB", 1.5 * 2 ** 30],
  ["64kb", 65_536],
  ["7B", 7],
  ["2TB", 2 * 2 ** 40],
])("parseMemory(): parses %s", (value, bytes) => {
  expect(parseMemory(value)).toBe(bytes);
});

it.each(["", "MB", "500", "5 PB", "1e9MB", "-5MB", "0MB", `${"9".repeat(15)}TB`, 0, -1, 1.5, Number.NaN, null, [], {}])(
  "parseMemory(): rejects %s",
  (value) => {
    expect(parseMemory(value)).toBeUndefined();
  },
);

it("formatMemory(): formats in megabytes", () => {
  expect(formatMemory(312.4 * 2 ** 20)).toBe("312 MB");
});
