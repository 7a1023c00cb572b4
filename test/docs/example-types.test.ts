import { execFileSync } from "node:child_process";
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ROOT, textOf } from "../../scripts/guide.ts";

/** Need the types of browsers. */
const PAGES = ["examples/web/chat/chat.tsx", "examples/web/streaming-page.ts"];

/** Next.js checks it when it builds; its types change those of Node for everybody. */
const BY_NEXT = "examples/web/next/next.config.ts";

const examples = globSync("examples/**/*.{ts,tsx}", { cwd: ROOT }).filter((file) => file !== BY_NEXT);

/** What the compiler makes of a project, with the files that it finds. */
function configOf(project: string): { readonly compilerOptions: object; readonly files: readonly string[] } {
  return JSON.parse(execFileSync("tsc", ["--project", project, "--showConfig"], { cwd: ROOT, encoding: "utf8" }));
}

test.each([
  {
    project: "test",
    kind: "without the types of browsers",
    lib: ["esnext"],
    checked: examples.filter((file) => !PAGES.includes(file)),
  },
  { project: "examples/tsconfig.dom.json", kind: "with them", lib: ["esnext", "dom"], checked: examples },
])("npm run types: checks every example $kind", ({ project, lib, checked }) => {
  const { scripts } = JSON.parse(textOf("package.json"));
  expect(scripts.types).toContain(`tsc --noEmit --project ${project}`);
  const { compilerOptions, files } = configOf(project);
  expect(compilerOptions).toMatchObject({ strict: true, lib });
  const folder = project.endsWith(".json") ? dirname(project) : project;
  expect(checked.length).toBeGreaterThan(30);
  expect(files.map((file) => join(folder, file))).toEqual(expect.arrayContaining(checked));
});
