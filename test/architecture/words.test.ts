import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../scripts/guide.ts";

/** Words that ARCHITECTURE.md, *Words*, has replaced by others. */
const RETIRED =
  /\b(incarnation|tenancy|hall|seat|(?<!front[ -])desk|roster|keeper|warden|announcer|condemn(?:ed|s)?|dormant|asleep|lies down|sets? aside|lets? go|in vain)\b/i;

/** The project's own prose and code. */
const FILES = ["src/**/*.ts", "docs/*/*.md", "docs/*.md", "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];

test("the project's prose and code: use no retired word", () => {
  const found = FILES.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).flatMap((file) =>
    readFileSync(join(ROOT, file), "utf8")
      .split("\n")
      .flatMap((line, index) => (RETIRED.test(line) ? [`${file}:${index + 1}: ${RETIRED.exec(line)?.[0]}`] : [])),
  );
  expect(found).toEqual([]);
});

test("ARCHITECTURE.md: defines at most forty words, each with an existing file", () => {
  const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const [, table = ""] = /\n## Words\n([\s\S]*?)\n## /.exec(text) ?? [];
  const files = [...table.matchAll(/\| `([\w./-]+\.ts)` \|$/gm)].map(([, file = ""]) => file);
  expect(files.length).toBeGreaterThan(20);
  expect(files.length).toBeLessThanOrEqual(40);
  expect(files.filter((file) => !existsSync(join(ROOT, "src", file)))).toEqual([]);
});
