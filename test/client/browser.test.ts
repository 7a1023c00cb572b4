import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../scripts/guide.ts";

const ENTRY = join(ROOT, "src/client/index.ts");

/** Returns the code of the client's files as they run, by path. Follows the imports that remain without types. */
function loaded(): Map<string, string> {
  const files = new Map<string, string>();
  const load = (file: string): void => {
    if (files.has(file)) return;
    const code = stripTypeScriptTypes(readFileSync(file, "utf8"));
    files.set(file, code);
    for (const [, from = ""] of code.matchAll(/\bfrom\s+"([^"]+)"|\bimport\s+"[^"]+"/g)) {
      expect(from, `an import of ${file}`).toMatch(/^\.\//);
      load(join(dirname(file), from));
    }
    expect(code).not.toMatch(/\bimport\(|\brequire\(/);
  };
  load(ENTRY);
  return files;
}

test("castellan/client: runs in a browser, because it loads only its own files and nothing of Node.js", () => {
  const files = [...loaded()];
  expect(files.length).toBeGreaterThan(8);
  for (const [file, code] of files) {
    expect(relative(dirname(ENTRY), file)).not.toMatch(/^\.\./);
    const text = code.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    expect(text, file).not.toMatch(/\b(?:Buffer|process|setImmediate|__dirname)\b/);
  }
});
