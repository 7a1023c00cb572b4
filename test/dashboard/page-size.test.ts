import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "tsdown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PageFiles } from "../../src/dashboard/page-files.ts";
import { page } from "../../tsdown.config.ts";

/* Sizes are compressed, in bytes. */

/** What a browser loads until it shows all sessions. */
const FIRST = 41_500;
/** The same with all that any other page loads, its dialogs included. */
const WITH_ANOTHER = 70_000;
/** All files. */
const ALL = 98_000;

let folder: string;
const files = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "castellan-page-"));
  const copy = [{ from: "src/page/icon.svg", to: folder }];
  await build({ ...page, config: false, outDir: folder, copy, logLevel: "error" });
  for (const name of await readdir(folder)) files.set(name, await readFile(join(folder, name), "utf8"));
}, 60_000);

afterAll(async () => await rm(folder, { recursive: true }));

const sizeOf = (names: Iterable<string>): number =>
  [...names].reduce((sum, name) => sum + gzipSync(files.get(name) ?? "", { level: 9 }).byteLength, 0);

/** What a module imports before it runs, and later. */
const IMPORTS = /\b(?:import|from)\s*["']\.\/([\w.-]+)["']/g;
const LATER = /\bimport\(\s*["'`]\.\/([\w.-]+)["'`]\s*\)/g;

const importsOf = (name: string, kind: RegExp): string[] =>
  [...(files.get(name) ?? "").matchAll(kind)].map(([, imported = ""]) => imported);

/** Returns a module and all that it imports, also later, but not the other pages. */
function withImports(name: string, found = new Set<string>()): Set<string> {
  if (found.has(name)) return found;
  found.add(name);
  const imported = [...importsOf(name, IMPORTS), ...(name === "page.js" ? [] : importsOf(name, LATER))];
  for (const one of imported) withImports(one, found);
  return found;
}

test("the page is small: to show all sessions, to show any other page, and as a whole", async () => {
  const first = [...withImports("page.js"), "page.css", "icon.svg"];
  const pages = importsOf("page.js", LATER);
  expect(pages).toHaveLength(5);
  const sizes = pages.map((name): [string, number] => [name, sizeOf(new Set([...first, ...withImports(name)]))]);
  const all = await new PageFiles(folder).gzippedSize();
  console.log(`page: ${sizeOf(first)}; ${sizes.map(([name, size]) => `${name} ${size}`).join(", ")}; all ${all}`);
  expect(sizeOf(first)).toBeLessThan(FIRST);
  for (const [name, size] of sizes) expect(size, name).toBeLessThan(WITH_ANOTHER);
  expect(all).toBeLessThan(ALL);
});

test("the page is complete in itself, and names no other host", () => {
  for (const [name, text] of files) {
    // No module names that a browser cannot resolve, and no module of Node.js.
    expect(text, name).not.toMatch(/\b(?:from|import)\s*\(?["'](?![./])/);
    // `http://www.w3.org` are the names of XML.
    expect(text.match(/https?:\/\/(?!www\.w3\.org)[\w.-]+/g) ?? [], name).toEqual([]);
    expect(text, name).not.toMatch(/@import|url\(|\beval\(|new Function\(/);
  }
});
