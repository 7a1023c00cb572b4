import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../src/page/style");

/** What holds for all parts comes first, what changes them in narrow windows and on phones last. */
const FIRST = "base.css";
const LAST = "phones.css";

/** Returns the style sheet of the page: the files of its parts, one behind the other. */
export async function pageStyle(): Promise<string> {
  const parts = (await readdir(FOLDER)).filter((name) => name !== FIRST && name !== LAST).sort();
  const files = [FIRST, ...parts, LAST].map((name) => readFile(join(FOLDER, name), "utf8"));
  const style = (await Promise.all(files)).join("\n");
  return style
    .replace(/\/\*.*?\*\//gs, "")
    .replace(/\s*([{};])\s*/g, "$1")
    .replace(/([:,])\s+/g, "$1")
    .replace(/;}/g, "}");
}
