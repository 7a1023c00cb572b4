import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Stands for the server of the site. */
const SERVER = "http://site.example";

/**
 * Checks that each link to an anchor of the built site has its target, which VitePress does not check.
 *
 * @param base the path of the site's root on its server, with a slash at the end
 * @throws Error that lists the links without a target
 */
export function checkAnchors(built: string, base: string): void {
  const pages = globSync("**/*.html", { cwd: built });
  const texts = new Map(pages.map((page) => [page, readFileSync(join(built, page), "utf8")]));
  const anchors = new Map([...texts].map(([page, text]) => [page, new Set(valuesOf(text, / id="([^"]+)"/g))]));
  const hasTarget = (page: string, link: string): boolean => {
    const { origin, pathname, hash } = new URL(link, `${SERVER}${base}${page}`);
    if (origin !== SERVER) return true;
    const path = decodeURIComponent(pathname).slice(base.length);
    return anchors.get(fileOf(path))?.has(decodeURIComponent(hash.slice(1))) === true;
  };
  const broken = [...texts].flatMap(([page, text]) =>
    valuesOf(text, /<a [^>]*href="([^"]*#[^"]+)"/g)
      .filter((link) => !hasTarget(page, link))
      .map((link) => `${page} links to ${link}`),
  );
  if (broken.length > 0) throw new Error(`anchors that do not exist:\n${[...new Set(broken)].join("\n")}`);
}

function fileOf(path: string): string {
  if (path === "" || path.endsWith("/")) return `${path}index.html`;
  return path.endsWith(".html") ? path : `${path}.html`;
}

function valuesOf(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, value = ""]) => value.replaceAll("&amp;", "&"));
}
