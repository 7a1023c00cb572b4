import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The root of the repository. */
export const ROOT: string = join(import.meta.dirname, "..");

/** The folder of the guide, relative to {@link ROOT}. */
export const PAGES = "docs/guide";

/** A code block in a page, which shows a region of an example. */
export interface Block {
  /** The path of the example, relative to {@link ROOT}. */
  readonly file: string;
  readonly region: string;
  readonly code: string;
}

const BLOCK = /<!-- (examples\/[\w./-]+)#([\w-]+) -->\n```(\w+)\n([\s\S]*?)```/g;

/** The names of all pages. */
export function pages(): string[] {
  return readdirSync(join(ROOT, PAGES)).filter((name) => name.endsWith(".md"));
}

/** The text of a file. */
export function textOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** The code blocks of a page that show a region. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(BLOCK)].map(([, file = "", region = "", , code = ""]) => ({ file, region, code }));
}

/** Returns the page with its code blocks updated from the examples. @throws Error if a region does not exist */
export function synced(page: string): string {
  return page.replace(BLOCK, (_, file: string, region: string, language: string) => {
    return `<!-- ${file}#${region} -->\n\`\`\`${language}\n${regionOf(file, region)}\`\`\``;
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
