import { SourceMap } from "node:module";
import { expect, test } from "vitest";
import { lineMappings } from "../scripts/line-maps.ts";

const MAP = { file: "a.js", version: 3, sources: ["a.ts", "b.ts"], sourcesContent: [], names: ["x"], sourceRoot: "" };
// Line 1: two segments of a.ts:1. Line 2: none. Line 3: b.ts:41, with a name, then a.ts:11. Line 4: a.ts:12.
const FULL = "AAAA,IAAI;;ACwCRA,IDXA;IACA";

test("the mappings of lines lead each line to where the full ones do", () => {
  const [full, thin] = [FULL, lineMappings(FULL)].map((mappings) => new SourceMap({ ...MAP, mappings }));
  for (const line of [0, 2]) {
    const expected = full?.findEntry(line, 0);
    expect(expected).toMatchObject({ originalSource: expect.any(String) });
    const { originalSource, originalLine } = { originalSource: "", originalLine: -1, ...expected };
    for (const column of [0, 3, 80])
      expect(thin?.findEntry(line, column)).toMatchObject({ originalSource, originalLine });
  }
  expect(thin?.findEntry(3, 0)).toMatchObject(originOf(full?.findEntry(3, 4)));
});

test("a line without a source keeps none, and long distances survive", () => {
  expect(lineMappings("")).toBe("");
  expect(lineMappings(";;A;")).toBe(";;;");
  expect(lineMappings("AAAA;AAgggBgggB;AAhggBhggB")).toBe("AAAA;AAgggBgggB;AAhggBhggB");
});

function originOf(entry: object | undefined): object {
  const { originalSource, originalLine } = { originalSource: "", originalLine: -1, ...entry };
  return { originalSource, originalLine };
}
