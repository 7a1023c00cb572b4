import { createRequire } from "node:module";
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
