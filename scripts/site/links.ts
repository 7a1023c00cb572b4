import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { DOCS, ROOT } from "../guide.ts";
import { repositoryLink } from "./repository.ts";

const INDEX = /(^|\/)README\.md$/;

/** The path of a page in the site: that of its file, except that `README.md` is the index of its folder. */
export function sitePath(page: string): string {
  return page.replace(INDEX, "$1index.md");
}

/**
 * Returns a link of a page as the site needs it: to another page as it is, and to a file of the repository outside of the site with the
 * address of the repository.
 *
 * @param page relative to the folder of the documentation
 * @throws Error if the file does not exist
 */
export function siteLink(page: string, link: string): string {
  if (/^(?:[a-z][a-z\d+.-]*:|\/\/|#)/i.test(link)) return link;
  const [path = "", fragment] = link.split("#");
  const target = posix.join(DOCS, posix.dirname(page), decodeURI(path));
  if (!existsSync(join(ROOT, target))) throw new Error(`${DOCS}/${page} links to ${link}, but there is no ${target}`);
  const hash = fragment === undefined ? "" : `#${fragment}`;
  return target.startsWith(`${DOCS}/`) ? `${sitePath(path)}${hash}` : `${repositoryLink(target)}${hash}`;
}
