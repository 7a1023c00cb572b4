import { globSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, pages, ROOT, synced, textOf } from "../../scripts/guide.ts";
import { ERROR_CODES } from "../../scripts/reference/error-reference.ts";
import { withParts } from "../../scripts/reference/pages.ts";
import { unlistedPages } from "../../scripts/site/sections.ts";

const texts = new Map(pages().map((page) => [page, textOf(page)]));

test.each([...texts])("%s: shows its examples and its generated parts unchanged", (page, text) => {
  // `npm run docs:sync` rewrites the page.
  expect(text).toBe(withParts(page, synced(text)));
  const fences = text.match(/^```tsx?$/gm) ?? [];
  const shown = blocksOf(text).filter(({ language }) => /^tsx?$/.test(language));
  expect(shown, "blocks of code that no example stands behind").toHaveLength(fences.length);
});

/** Code that readers put into their applications is of an example that the tests compile; a page of the tutorial is HTML, which no compiler reads. */
test.each([...texts])("%s: shows no JavaScript without an example behind it", (_, text) => {
  const fences = text.match(/^```(js|jsx|javascript|mjs|cjs)$/gm) ?? [];
  const shown = blocksOf(text).filter(({ language, file }) => language === "js" && file.endsWith(".html"));
  expect(shown).toHaveLength(fences.length);
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

test("the pages: stand in the index of a section, from which the navigation of the site derives", () => {
  expect(unlistedPages()).toEqual([]);
});

test.each([...texts])("%s: has nothing that the site takes for a template", (_, text) => {
  const prose = text
    .replaceAll(/^```[\s\S]*?^```$/gm, "")
    .replaceAll(/`[^`]*`/g, "")
    .replaceAll(/^<!-- .* -->$/gm, "");
  expect(prose).not.toMatch(/\{\{|<\/?[a-z]/i);
});

test("docs/reference/errors.md: says of every code what to do", () => {
  const text = texts.get("docs/reference/errors.md") ?? "";
  const sections = new Map(text.split(/^### /m).map((section) => [section.split("\n", 1)[0], section]));
  expect(ERROR_CODES.length).toBeGreaterThan(30);
  const silent = ERROR_CODES.filter((code) => !/^\*\*What to do\.\*\* \S/m.test(sections.get(`\`${code}\``) ?? ""));
  expect(silent).toEqual([]);
});

test("docs/reference/configuration.md: lists every environment variable that Castellan reads", () => {
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    // These run in other programs than the application.
    .filter((file) => file.endsWith(".ts") && !/^(?:page\/|testing\/|cli\/demo)/.test(file));
  const read = sources.flatMap((file) => {
    // Without the examples in doc comments.
    const text = textOf(`src/${file}`).replaceAll(/^ *\*.*$/gm, "");
    const constants = [...text.matchAll(/_VARIABLE = "([A-Z_]+)"/g)];
    const fields = text.matchAll(/\benv(?:\["([A-Z_]+)"\]|\.([A-Z_]+)\b)/g);
    return [...fields, ...constants].map(([, name, other = ""]) => name ?? other);
  });
  expect(read).toEqual(expect.arrayContaining(["CASTELLAN_JOURNAL", "CASTELLAN_URL", "NODE_ENV"]));
  const text = texts.get("docs/reference/configuration.md") ?? "";
  expect([...new Set(read)].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
