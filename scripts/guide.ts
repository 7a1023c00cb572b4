import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The root of the repository. */
export const ROOT: string = join(import.meta.dirname, "..");

/** The folder of the documentation, relative to {@link ROOT}. */
export const DOCS = "docs";

/** All pages but those of the API, which are generated when the site is built. Relative to {@link ROOT}. */
const PAGES = ["README.md", `${DOCS}/*.md`, `${DOCS}/{tutorial,guide,explanations,reference}/*.md`];

/** A code block in a page, which shows a region of an example, or all of it. */
export interface Block {
  /** The path of the example, relative to {@link ROOT}. */
  readonly file: string;
  readonly region: string | undefined;
  readonly language: string;
  readonly code: string;
}

const BLOCK = /<!-- (examples\/[\w./-]+)(?:#([\w-]+))? -->\n```(\w+)\n([\s\S]*?)```/g;

/** The paths of all pages, relative to {@link ROOT}. */
export function pages(): string[] {
  return PAGES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).toSorted();
}

/** The text of a file. */
export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** The code blocks of a page that show an example. */
export function blocksOf(page: string): Block[] {
  const blocks = [...page.matchAll(BLOCK)];
  return blocks.map(([, file = "", region, language = "", code = ""]) => ({ file, region, language, code }));
}

/** Returns the page with its code blocks updated from the examples. @throws Error if a region does not exist */
export function synced(page: string): string {
  return page.replace(BLOCK, (_, file: string, region: string | undefined, language: string) => {
    const shown = region === undefined ? file : `${file}#${region}`;
    return `<!-- ${shown} -->\n\`\`\`${language}\n${region === undefined ? textOf(file) : regionOf(file, region)}\`\`\``;
  });
}

/** The lines between `// #region name` and `// #endregion`, without their common indentation. */
function regionOf(file: string, name: string): string {
  const lines = textOf(file).split("\n");
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  const end = lines.findIndex((line, at) => at > start && line.trim() === "// #endregion");
  if (start < 0 || end < 0) throw new Error(`${file} has no region ${name}`);
  const region = lines.slice(start + 1, end);
  const indents = region.filter((line) => line !== "").map((line) => line.search(/\S/));
  const indent = Math.min(...indents);
  return region.map((line) => `${line.slice(indent)}\n`).join("");
}
