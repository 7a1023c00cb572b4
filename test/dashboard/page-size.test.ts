import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "tsdown";
import { expect, test } from "vitest";
import { PageFiles } from "../../src/dashboard/page-files.ts";
import { page } from "../../tsdown.config.ts";

/** In bytes, compressed: all that a browser loads. */
const BUDGET = 70_000;

test("the page is small, complete in itself, and names no other host", async () => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-page-"));
  try {
    await build({
      ...page,
      config: false,
      outDir: folder,
      copy: [{ from: "src/page/icon.svg", to: folder }],
      logLevel: "error",
    });
    const size = await new PageFiles(folder).gzippedSize();
    expect(size).toBeLessThan(BUDGET);
    const [script, style] = await Promise.all(
      ["page.js", "page.css"].map((name) => readFile(join(folder, name), "utf8")),
    );
    // No module names that a browser cannot resolve, and no module of Node.js.
    expect(script).not.toMatch(/\b(?:from|import)\s*\(?["'](?![./])/);
    // `http://www.w3.org` are the names of XML.
    expect(`${script}${style}`.match(/https?:\/\/(?!www\.w3\.org)[\w.-]+/g) ?? []).toEqual([]);
    expect(`${script}${style}`).not.toMatch(/@import|url\(/);
    expect(script).not.toMatch(/\beval\(|new Function\(/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
