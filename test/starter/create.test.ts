import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../packages/create-castellan/src/arguments.ts";
import { installPackages, packageClient } from "../../packages/create-castellan/src/packages.ts";
import { nameProblem, writeProject } from "../../packages/create-castellan/src/project.ts";
import { TEMPLATE_NAMES } from "../../packages/create-castellan/src/template.ts";
import { create, emptyFolder } from "./created.ts";

describe.for(TEMPLATE_NAMES)("create-castellan --template %s", (template) => {
  test("writes a project with the name of its folder, and says what to do next", async () => {
    const cwd = await emptyFolder();
    const { code, stdout, stderr } = await create(cwd, ["my-app", "--template", template, "--no-install"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("  cd my-app\n  npm install\n  npm start\n");
    const names = await readdir(join(cwd, "my-app"));
    expect(names.toSorted()).toEqual([".gitignore", "README.md", "package.json", "src", "test", "tsconfig.json"]);
    expect(JSON.parse(await readFile(join(cwd, "my-app/package.json"), "utf8"))).toMatchObject({
      name: "my-app",
      private: true,
    });
  });
});

test("create-castellan: takes the chat and another release of castellan, without a terminal", async () => {
  const cwd = await emptyFolder();
  expect((await create(cwd, ["nested/my-app", "--no-install", "--castellan", "next"])).code).toBe(0);
  const { dependencies } = JSON.parse(await readFile(join(cwd, "nested/my-app/package.json"), "utf8"));
  expect(dependencies).toMatchObject({ castellan: "next", hono: expect.any(String) });
});

test("create-castellan: fills an empty folder, and one that only has a repository", async () => {
  const cwd = await emptyFolder();
  await mkdir(join(cwd, "app/.git"), { recursive: true });
  expect((await create(join(cwd, "app"), [".", "--no-install"])).code).toBe(0);
  expect(await readdir(join(cwd, "app"))).toContain("package.json");
});

test("create-castellan: refuses a folder with files, and changes nothing in it", async () => {
  const cwd = await emptyFolder();
  await mkdir(join(cwd, "app"));
  for (const name of ["a", "b", "c", "d"]) await writeFile(join(cwd, "app", name), name);
  const { code, stdout, stderr } = await create(cwd, ["app", "--no-install"]);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe("app is not empty: it has a, b, c, …. Name another folder.\n");
  expect(await readdir(join(cwd, "app"))).toEqual(["a", "b", "c", "d"]);
});

test.for([
  [["My App", "--no-install"], '"My App" is no name for a package'],
  [["file/app", "--no-install"], "file/app cannot be made: ENOTDIR"],
  [["app", "--template", "shop"], 'There is no template "shop". Take one of chat, worker, bot.'],
  [["app", "--tempalte", "chat"], "Unknown option '--tempalte'"],
  [["one", "two"], "Expected one folder; got one, two."],
  [[], "Name a folder: npm create castellan my-chat"],
] as const)("create-castellan %j: says what is wrong, and writes nothing", async ([args, message]) => {
  const cwd = await emptyFolder();
  await writeFile(join(cwd, "file"), "");
  const { code, stderr } = await create(cwd, args);
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  // A stack trace is for bugs.
  expect(stderr).not.toContain("    at ");
  expect(await readdir(cwd)).toEqual(["file"]);
});

test("create-castellan: keeps the files if there is no registry, and says how to go on", async () => {
  const cwd = await emptyFolder();
  const offline = {
    npm_config_registry: "http://127.0.0.1:9",
    npm_config_fetch_retries: "0",
    npm_config_cache: join(cwd, "cache"),
  };
  const { code, stderr } = await create(cwd, ["app", "--template", "worker"], offline);
  expect(code).toBe(1);
  expect(stderr).toContain(
    "npm install has failed (1). The files are complete: when the registry can be reached, run `npm install` in app.",
  );
  expect(await readdir(join(cwd, "app"))).toContain("package.json");
});

test("installPackages(): names a client that is not there", async () => {
  const folder = join(await emptyFolder(), "none");
  await expect(installPackages(folder, "npm")).rejects.toThrow("npm install has failed (spawn npm ENOENT)");
});

test("packageClient(): is the client that runs the command, or npm", () => {
  expect(packageClient("pnpm/10.1.0 npm/? node/v24.0.0 linux x64")).toBe("pnpm");
  expect(packageClient("npm/11.0.0 node/v24.0.0 linux x64")).toBe("npm");
  expect([packageClient(""), packageClient(undefined), packageClient("other/1")]).toEqual(["npm", "npm", "npm"]);
});

test("nameProblem(): accepts what npm accepts as a name", () => {
  for (const name of ["a", "my-app", "app_2", "x.y"]) expect(nameProblem(name)).toBeUndefined();
  for (const name of ["", "A", ".app", "_app", "a b", "ä", "a/b", "a".repeat(215)])
    expect(nameProblem(name)).toContain("no name");
});

test("parseArguments(): leaves open what it is not told", () => {
  expect(parseArguments([])).toEqual({
    folder: undefined,
    template: undefined,
    install: undefined,
    castellan: undefined,
    yes: false,
    help: false,
  });
  expect(parseArguments(["a", "--no-install", "-y"])).toMatchObject({ folder: "a", install: false, yes: true });
});

test("writeProject(): leaves nothing behind if it cannot finish", async () => {
  const cwd = await emptyFolder();
  const missing = "missing" as (typeof TEMPLATE_NAMES)[number];
  await expect(writeProject({ folder: join(cwd, "deep/app"), template: missing })).rejects.toThrow("cannot be written");
  expect(await readdir(cwd)).toEqual([]);
});
