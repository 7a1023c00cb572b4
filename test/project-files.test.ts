import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../scripts/guide.ts";

interface IssueForm {
  readonly name: string;
  readonly description: string;
  readonly labels: readonly string[];
  readonly body: readonly {
    readonly type: string;
    readonly id?: string;
    readonly attributes: { readonly label?: string; readonly value?: string; readonly options?: readonly string[] };
  }[];
}

const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

const forms = globSync(".github/ISSUE_TEMPLATE/*.yml", { cwd: ROOT }).filter((file) => !file.endsWith("config.yml"));

test("the issue forms: are those of bugs, features and questions", () => {
  expect(forms.map((file) => (parse(read(file)) as IssueForm).name).toSorted()).toEqual(["Bug", "Feature", "Question"]);
});

// What GitHub demands of a form; it shows a form with a mistake to nobody.
test.for(forms)("%s: is a form that GitHub accepts", (file) => {
  const { name, description, labels, body } = parse(read(file)) as IssueForm;
  expect([name, description, ...labels].every((text) => typeof text === "string" && text !== "")).toBe(true);
  const fields = body.filter(({ type }) => type !== "markdown");
  expect(fields.length).toBeGreaterThan(0);
  expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  for (const { type, id, attributes } of body) {
    expect(["markdown", "input", "textarea", "dropdown", "checkboxes"]).toContain(type);
    if (type === "markdown") expect(attributes.value).toMatch(/\S/);
    else {
      expect(id).toMatch(/^[\w-]+$/);
      expect(attributes.label).toMatch(/\S/);
    }
    if (type === "dropdown") expect(new Set(attributes.options).size).toBeGreaterThan(1);
  }
});

test.for(["SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md"])(
  "%s: links to files and headings that exist",
  (file) => {
    const missing = [...read(file).matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].filter(
      ([, path = "", heading]) => {
        const target = path === "" ? file : join(dirname(file), path);
        if (!existsSync(join(ROOT, target))) return true;
        return heading !== undefined && !anchorsOf(read(target)).includes(heading);
      },
    );
    expect(missing.map(([link]) => link)).toEqual([]);
  },
);

/** Returns the names that GitHub gives to the headings of a page. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("renovate.json: has rules only for packages that the project depends on", () => {
  const { packageRules } = JSON.parse(read("renovate.json")) as {
    readonly packageRules: readonly { readonly matchPackageNames?: string[]; readonly matchDepNames?: string[] }[];
  };
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));
  const named = packageRules.flatMap(({ matchPackageNames = [], matchDepNames = [] }) => [
    ...matchPackageNames,
    ...matchDepNames,
  ]);
  expect(named).toContain("@anthropic-ai/claude-agent-sdk");
  expect(Object.keys({ ...dependencies, ...devDependencies })).toEqual(expect.arrayContaining(named));
});
