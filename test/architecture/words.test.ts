import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../scripts/guide.ts";

/** Each stood for something that has another word in ARCHITECTURE.md, *Words*. */
const RETIRED =
  /\b(incarnation|tenancy|hall|seat|(?<!front[ -])desk|roster|keeper|warden|announcer|condemn(?:ed|s)?|dormant|lies down|sets? aside)\b/i;

/** Prose and code of the project itself. */
const FILES = ["src/**/*.ts", "docs/guide/*.md", "docs/*.md", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];

test("retired words are not used", () => {
  const found = FILES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).flatMap((file) =>
    readFileSync(join(ROOT, file), "utf8")
      .split("\n")
      .flatMap((line, index) => (RETIRED.test(line) ? [`${file}:${index + 1}: ${RETIRED.exec(line)?.[0]}`] : [])),
  );
  expect(found).toEqual([]);
});

test("the words of ARCHITECTURE.md are forty at the most, and each has its file", () => {
  const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const [, table = ""] = /\n## Words\n([\s\S]*?)\n## /.exec(text) ?? [];
  const files = [...table.matchAll(/\| `([\w./-]+\.ts)` \|$/gm)].map(([, file = ""]) => file);
  expect(files.length).toBeGreaterThan(20);
  expect(files.length).toBeLessThanOrEqual(40);
  expect(files.filter((file) => !existsSync(join(ROOT, "src", file)))).toEqual([]);
});
