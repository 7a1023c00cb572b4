import { existsSync, globSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { pages, ROOT, textOf } from "../../scripts/guide.ts";

const FILES = [...new Set([...pages(), ...globSync("*.md", { cwd: ROOT })])];

/** A link to a file of the repository. */
interface Link {
  readonly page: string;
  /** The path of the file, relative to the root. */
  readonly target: string;
  readonly anchor: string | undefined;
  /** Words that appear when the pointer is on the link. */
  readonly title: string | undefined;
}

const links = FILES.flatMap(linksOf);

/** Returns the links of a page, without those in code. */
function linksOf(page: string): Link[] {
  const prose = textOf(page).replace(/^```.*?^```$/gms, "");
  const found = [...prose.matchAll(/\]\(([^)\s]+)(?: "((?:[^"\\]|\\.)*)")?\)/g)];
  const relative = found.filter(([, link = ""]) => !/^[a-z]+:/.test(link));
  return relative.map(([, link = "", title]) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    return { page, target, anchor, title: title?.replaceAll('\\"', '"') };
  });
}

test("the pages: have only links that resolve", () => {
  const broken = links.filter(({ target, anchor }) => {
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor);
  });
  expect(broken).toEqual([]);
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

test.each(["docs/guide", "docs/tutorial", "docs/explanations", "docs/reference"])(
  "%s/README.md: lists all pages of its folder",
  (folder) => {
    const listed = links.filter(({ page }) => page === `${folder}/README.md`).map(({ target }) => target);
    const others = pages().filter((page) => dirname(page) === folder && basename(page) !== "README.md");
    expect(others.length).toBeGreaterThan(0);
    expect(others.filter((page) => !listed.includes(page))).toEqual([]);
  },
);

test("links to tests: have the title of a test in that file", () => {
  const toTests = links.filter(({ target }) => target.endsWith(".test.ts"));
  expect(toTests.length).toBeGreaterThan(40);
  const wrong = toTests.filter(({ target, title }) => title === undefined || !titlesIn(target).includes(title));
  expect(wrong).toEqual([]);
});

/** Returns the titles of a file's tests, as the source has them. */
function titlesIn(file: string): string[] {
  const titles = textOf(file).matchAll(/(?:\b(?:it|test)|\))\(\s*(?:"([^"]+)"|'([^']+)'|`([^`]+)`)/g);
  // A seed at the end of a title differs from run to run.
  const withoutSeed = (title: string) => title.replace(/ \([A-Z_]+=\$\{\w+\}\)$/, "");
  return [...titles].map(([, double, single, template]) => withoutSeed(double ?? single ?? template ?? ""));
}
