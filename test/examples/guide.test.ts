import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, PAGES, pages, ROOT, synced, textOf } from "../../scripts/guide.ts";
import { MANAGED_AGENTS_PAGE, withSupportTable } from "../../scripts/managed-agents-table.ts";
import { OPTIONS_PAGE, optionsPage } from "../../scripts/option-reference.ts";

const texts = new Map(pages().map((name) => [name, textOf(`${PAGES}/${name}`)]));

test.each([...texts])("docs/guide/%s: shows its examples unchanged", (_, text) => {
  // `npm run docs:sync` rewrites the page.
  expect(text).toBe(synced(text));
  const fences = text.match(/^```tsx?$/gm) ?? [];
  expect(blocksOf(text), "blocks of code that no example stands behind").toHaveLength(fences.length);
});

test("docs/guide/options.md: matches the doc comments and the table of options", () => {
  // `npm run docs:sync` rewrites the page.
  expect(textOf(OPTIONS_PAGE)).toBe(optionsPage());
});

test("docs/guide/managed-agents.md: has the table of what the server supports", () => {
  // `npm run docs:sync` rewrites the table.
  expect(textOf(MANAGED_AGENTS_PAGE)).toBe(withSupportTable(textOf(MANAGED_AGENTS_PAGE)));
});

test("docs/guide: shows every example", () => {
  const shown = new Set([...texts.values()].flatMap((text) => blocksOf(text).map(({ file }) => file)));
  const all = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" });
  const examples = all.filter((name) => /\.tsx?$/.test(name)).map((name) => `examples/${name}`);
  expect([...shown].toSorted()).toEqual(examples.toSorted());
});

test("docs/guide: has only links that resolve, and an index of all pages", () => {
  const links = [...texts].flatMap(([name, text]) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => ({ name, link })),
  );
  const relative = links.filter(({ link }) => !/^[a-z]+:/.test(link));
  const broken = relative.filter(({ name, link }) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? `${PAGES}/${name}` : join(PAGES, dirname(name), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor);
  });
  expect(broken).toEqual([]);
  const indexed = relative.filter(({ name }) => name === "README.md").map(({ link }) => link.replace(/^\.\//, ""));
  expect(indexed).toEqual(expect.arrayContaining(pages().filter((name) => name !== "README.md")));
});

/** Returns the anchors of a page's headings, as GitHub forms them. */
function anchorsOf(text: string): string[] {
  const headings = text.match(/^#+ .*$/gm) ?? [];
  return headings.map((line) =>
    line
      .replace(/^#+ /, "")
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("docs/guide/troubleshooting.md: lists every error code", () => {
  const source = textOf("src/errors.ts");
  const [, details = ""] = /export interface ErrorDetails \{(.*?)\n\}/s.exec(source) ?? [];
  const [, others = ""] = /export type ErrorCode =(.*?);/s.exec(source) ?? [];
  const codes = [...details.matchAll(/^ {2}([A-Z_]+):/gm), ...others.matchAll(/"([A-Z_]+)"/g)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(30);
  const text = texts.get("troubleshooting.md") ?? "";
  expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
});
