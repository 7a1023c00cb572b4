import { globSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

/** Checks that each link to an anchor of the built site has its target, which VitePress does not check. @throws Error otherwise */
export function checkAnchors(built: string): void {
  const pages = globSync("**/*.html", { cwd: built });
  const texts = new Map(pages.map((page) => [page, readFileSync(join(built, page), "utf8")]));
  const anchors = new Map([...texts].map(([page, text]) => [page, new Set(valuesOf(text, / id="([^"]+)"/g))]));
  const broken = [...texts].flatMap(([page, text]) =>
    valuesOf(text, /<a [^>]*href="([^"]*#[^"]+)"/g)
      .filter((link) => !/^[a-z][a-z\d+.-]*:/i.test(link))
      .filter((link) => {
        const [path = "", anchor = ""] = link.split("#");
        const target =
          path === "" ? page : fileOf(path.startsWith("/") ? path.slice(1) : posix.join(posix.dirname(page), path));
        return anchors.get(target)?.has(decodeURIComponent(anchor)) !== true;
      })
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
