import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundledLicenses } from "../scripts/bundled-licenses.ts";

const { resolve } = createRequire(import.meta.url);

test("each package in the bundle has its license in the text, once, and the project's own modules have none", async () => {
  const own = { type: "chunk", moduleIds: [import.meta.filename] };
  const first = { type: "chunk", moduleIds: [resolve("zod"), resolve("@preact/signals")] };
  const second = { type: "chunk", moduleIds: [resolve("zod/v4/core")] };
  const text = await bundledLicenses({ own, first, second, style: { type: "asset" } });
  expect(text.match(/^\S+ \d+\.\d+\.\d+$/gm)).toEqual([
    expect.stringMatching(/^@preact\/signals /),
    expect.stringMatching(/^zod /),
  ]);
  expect(text.match(/Permission is hereby granted/g)).toHaveLength(2);
  expect(await bundledLicenses({ own })).toBe("");
});

test("a package in the bundle whose license is not allowed fails the build", async () => {
  const root = await mkdtemp(join(tmpdir(), "castellan-licenses-"));
  try {
    const folder = join(root, "node_modules", "copyleft");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "LICENSE"), "Some terms\n");
    const licensed = (license: string) =>
      writeFile(join(folder, "package.json"), JSON.stringify({ name: "copyleft", version: "1.0.0", license }));
    const bundle = { chunk: { type: "chunk", moduleIds: [join(folder, "index.js")] } };

    await licensed("GPL-3.0-only");
    await expect(bundledLicenses(bundle)).rejects.toThrow("the package copyleft has the license GPL-3.0-only");
    await licensed("MIT");
    expect(await bundledLicenses(bundle)).toBe("copyleft 1.0.0\n\nSome terms\n");
  } finally {
    await rm(root, { recursive: true });
  }
});
