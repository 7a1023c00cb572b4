import { expect, test } from "vitest";
import { newest } from "./published.ts";

test.each([
  ["0.3.332", ["0.3.330", "0.3.331", "0.3.332"]],
  ["0.3.9", ["0.3.9", "0.3.330", "0.3.331", "0.3.332"]],
])("newest: returns the three newest releases and the pinned %s, without prereleases", (pinned, expected) => {
  expect(newest(["0.3.332", "0.3.9", "0.3.331", "0.3.333-beta.1", "0.3.330", "0.3.99"], pinned)).toEqual(expected);
});
