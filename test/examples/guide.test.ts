import { globSync } from "node:fs";
import { expect, test } from "vitest";
import { blocksOf, GUIDE, pages, ROOT, synced, textOf } from "../../scripts/guide.ts";
import { MANAGED_AGENTS_PAGE, withSupportTable } from "../../scripts/managed-agents-table.ts";
import { OPTIONS_PAGE, optionsPage } from "../../scripts/option-reference.ts";

const texts = new Map(pages().map((file) => [file, textOf(file)]));

test.each([...texts])("%s: shows its examples unchanged", (_, text) => {
  // `npm run docs:sync` rewrites the page.
  expect(text).toBe(synced(text));
  const fences = text.match(/^```tsx?$/gm) ?? [];
  const shown = blocksOf(text).filter(({ language }) => /^tsx?$/.test(language));
  expect(shown, "blocks of code that no example stands behind").toHaveLength(fences.length);
});

test("docs/guide/options.md: matches the doc comments and the table of options", () => {
  // `npm run docs:sync` rewrites the page.
  expect(textOf(OPTIONS_PAGE)).toBe(optionsPage());
});

test("docs/guide/managed-agents.md: has the table of what the server supports", () => {
  // `npm run docs:sync` rewrites the table.
  expect(textOf(MANAGED_AGENTS_PAGE)).toBe(withSupportTable(textOf(MANAGED_AGENTS_PAGE)));
});

test("the pages: show every example", () => {
  const blocks = [...texts.values()].flatMap((text) => blocksOf(text));
  const shown = new Set(blocks.filter(({ language }) => /^tsx?$/.test(language)).map(({ file }) => file));
  // A step of the tutorial has the files of the steps before, too; one that it leaves as it was is not shown again.
  const same = new Set([...shown].filter((file) => file.startsWith("examples/tutorial/")).map((file) => textOf(file)));
  const isShown = (file: string) => shown.has(file) || same.has(textOf(file));
  const examples = globSync("examples/**/*.{ts,tsx}", { cwd: ROOT });
  expect(examples.filter((file) => !isShown(file))).toEqual([]);
  expect([...shown].filter((file) => !examples.includes(file))).toEqual([]);
});

test("docs/guide/troubleshooting.md: lists every error code", () => {
  const source = textOf("src/errors.ts");
  const [, details = ""] = /export interface ErrorDetails \{(.*?)\n\}/s.exec(source) ?? [];
  const [, others = ""] = /export type ErrorCode =(.*?);/s.exec(source) ?? [];
  const codes = [...details.matchAll(/^ {2}([A-Z_]+):/gm), ...others.matchAll(/"([A-Z_]+)"/g)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(30);
  const text = texts.get(`${GUIDE}/troubleshooting.md`) ?? "";
  expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
});
