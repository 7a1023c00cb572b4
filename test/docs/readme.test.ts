import { expect, test } from "vitest";
import { textOf } from "../../scripts/guide.ts";

const README = textOf("README.md");

test("README.md: has at most 900 words", () => {
  const words = README.split(/\s+/).filter((word) => word !== "");
  expect(words.length).toBeLessThanOrEqual(900);
});

test("README.md: proves each promise by a test", () => {
  const [, table = ""] = /\n## What you can rely on\n([\s\S]*?)\n## /.exec(README) ?? [];
  const rows = table.split("\n").filter((line) => /^\| (?!-)/.test(line));
  const promises = rows.slice(1);
  expect(promises.length).toBeGreaterThan(8);
  // test/docs/links.test.ts checks that each of them exists.
  expect(promises.filter((row) => !/\]\(test\/[\w/-]+\.test\.ts "/.test(row))).toEqual([]);
});
