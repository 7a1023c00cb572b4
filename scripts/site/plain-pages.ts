import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DOCS, ROOT } from "../guide.ts";
import { siteLink, sitePath } from "./links.ts";
import { type Entry, groupsOf, indexPage, sections } from "./sections.ts";

/** What the site says of itself. */
interface Site {
  readonly title: string;
  readonly description: string;
  /** The path of its root on the server, with a slash at the end. */
  readonly base: string;
}

/**
 * Writes what programs read instead of pages: each page as Markdown beside its HTML, `llms.txt`, which lists them, and `llms-full.txt` with
 * the text of all but the API's.
 *
 * @param built the folder of the built site
 * @param pages all pages, relative to the folder of the documentation
 */
export function writePlainPages(built: string, pages: readonly string[], site: Site): void {
  for (const page of pages) write(join(built, sitePath(page)), plainText(page));
  const listed = sections().map((section) => ({
    section,
    entries: groupsOf(section).flatMap(({ entries }) => entries),
  }));
  const lists = listed.map(({ section, entries }) => {
    return `## ${section.title}\n\n${entries.map((entry) => lineOf(entry, site)).join("\n")}\n`;
  });
  const api = `## API\n\n- [API](${site.base}api/index.md): every export with its types, defaults and errors\n`;
  write(join(built, "llms.txt"), [`# ${site.title}\n\n> ${site.description}\n`, ...lists, api].join("\n"));
  const inOrder = listed.flatMap(({ section, entries }) => [indexPage(section), ...entries.map(({ page }) => page)]);
  const texts = ["index.md", ...new Set(inOrder)].map((page) => `<!-- /${sitePath(page)} -->\n\n${plainText(page)}`);
  write(join(built, "llms-full.txt"), texts.join("\n"));
}

function lineOf({ title, page, description }: Entry, { base }: Site): string {
  return `- [${title}](${base}${sitePath(page)})${description === "" ? "" : `: ${description}`}`;
}

/** The text of a page, with the links of the site and without what only the generators need. */
function plainText(page: string): string {
  const text = readFileSync(join(ROOT, DOCS, page), "utf8")
    .replace(/^---\n[\s\S]*?\n---\n+/, "")
    .replaceAll(/^<!-- .* -->\n\n?/gm, "");
  const parts = text.split(/^(```[\s\S]*?^```$)/m);
  return parts.map((part, at) => (at % 2 === 0 ? withLinks(page, part) : part)).join("");
}

function withLinks(page: string, text: string): string {
  return text.replaceAll(/\]\(([^()\s]+)/g, (_, link: string) => `](${siteLink(page, link)}`);
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
