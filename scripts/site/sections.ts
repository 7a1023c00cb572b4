import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { DOCS, pages, ROOT, textOf } from "../guide.ts";

/** A section of the site: a folder of pages. Its index, `README.md`, lists them. */
export interface Section {
  readonly title: string;
  /** Relative to the folder of the documentation. */
  readonly folder: string;
}

/** The sections, in the order of the navigation. The API is the other one: TypeDoc generates its pages and their list. */
const SECTIONS: readonly Section[] = [
  { title: "Tutorial", folder: "tutorial" },
  { title: "Guides", folder: "guide" },
  { title: "Explanations", folder: "explanations" },
  { title: "Reference", folder: "reference" },
];

/** The pages below one heading of an index. */
export interface Group {
  /** Undefined above the first heading. */
  readonly title: string | undefined;
  readonly entries: readonly Entry[];
}

/** A page that an index lists. */
export interface Entry {
  readonly title: string;
  /** Relative to the folder of the documentation. */
  readonly page: string;
  /** What the index says about it. */
  readonly description: string;
}

/** The start page of the site, which no index lists. */
const START = "index.md";

/** The sections that have pages. */
export function sections(): Section[] {
  return SECTIONS.filter(({ folder }) => existsSync(join(ROOT, DOCS, folder)));
}

/** The path of a section's index, relative to the folder of the documentation. */
export function indexPage({ folder }: Section): string {
  return `${folder}/README.md`;
}

/**
 * Returns what a section's index lists: by heading, the links in the items of its lists to pages of the section, or to pages beside the
 * sections.
 *
 * @throws Error if the section has no index
 */
export function groupsOf(section: Section): Group[] {
  const index = indexPage(section);
  if (!existsSync(join(ROOT, DOCS, index)))
    throw new Error(`${DOCS}/${section.folder} has pages, but no README.md that lists them`);
  const [top = "", ...parts] = textOf(`${DOCS}/${index}`).split(/^## /m);
  const headed = parts.map((part) => {
    const [title = ""] = part.split("\n", 1);
    return { title, entries: entriesOf(part, section) };
  });
  return [{ title: undefined, entries: entriesOf(top, section) }, ...headed].filter(
    ({ entries }) => entries.length > 0,
  );
}

/** The pages that no index lists, relative to the folder of the documentation. Nobody would find them in the site. */
export function unlistedPages(): string[] {
  const found = sections();
  const listed = new Set([
    START,
    ...found.map(indexPage),
    ...found.flatMap(groupsOf).flatMap(({ entries }) => entries.map(({ page }) => page)),
  ]);
  return pages()
    .filter((page) => page.startsWith(`${DOCS}/`))
    .map((page) => posix.relative(DOCS, page))
    .filter((page) => !listed.has(page));
}

function entriesOf(part: string, { folder }: Section): Entry[] {
  const items = part.matchAll(/^(?:-|\d+\.) (.*(?:\n {2,3}\S.*)*)/gm);
  return [...items].flatMap(([, lines = ""]) => {
    const item = lines.replaceAll(/\s+/g, " ");
    const links = [...item.matchAll(/\[([^\]]+)\]\(([^)#\s]+\.md)(?:#[^)]*)?\)/g)];
    const [, description = ""] = /^(?:[^:]|:\S)*?: (.*)$/.exec(item) ?? [];
    return links.flatMap(([, text = "", path = ""]): Entry[] => {
      const page = posix.join(folder, path);
      const isListed = posix.dirname(page) === folder || posix.dirname(page) === ".";
      return isListed ? [{ title: titleOf(text), page, description: plain(description) }] : [];
    });
  });
}

/** The text of a link as a title: without code, and with a capital letter. */
function titleOf(text: string): string {
  const title = text.replaceAll("`", "");
  return title.charAt(0).toUpperCase() + title.slice(1);
}

/** A text without its links. */
function plain(text: string): string {
  return text.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}
