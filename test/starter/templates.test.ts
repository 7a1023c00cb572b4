import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { TEMPLATE_NAMES } from "../../packages/create-castellan/src/template.ts";
import { ROOT } from "../../scripts/guide.ts";
import { STARTER } from "./created.ts";

interface Package {
  readonly version: string;
  readonly engines: object;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

const json = (path: string): Package => JSON.parse(readFileSync(path, "utf8"));
const root = json(join(ROOT, "package.json"));
const starter = json(join(STARTER, "package.json"));

test("create-castellan: has the version of castellan, and takes its dependencies from the root", () => {
  expect(starter).toMatchObject({ version: root.version, engines: root.engines });
  for (const [name, range] of Object.entries(starter.dependencies)) expect(root.devDependencies[name]).toBe(range);
});

test.for(TEMPLATE_NAMES)("the template %s: has the ranges of packages that the tests run with", (template) => {
  const { dependencies, devDependencies, engines } = json(join(STARTER, "templates", template, "package.json"));
  expect(engines).toEqual(root.engines);
  const { castellan, ...others } = { ...dependencies, ...devDependencies };
  expect(castellan).toBe(`^${root.version}`);
  const tested = { ...root.devDependencies, ...root.dependencies, ...root.peerDependencies };
  for (const [name, range] of Object.entries(others))
    expect(`${name} ${range.replace("^", "")}`).toBe(`${name} ${tested[name]?.replace("^", "")}`);
});

test("the templates: share what is the same in all of them", () => {
  for (const file of ["src/model.ts", "tsconfig.json", "_gitignore"]) {
    const texts = TEMPLATE_NAMES.map((template) => readFileSync(join(STARTER, "templates", template, file), "utf8"));
    expect(new Set(texts).size, file).toBe(1);
  }
});
