import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { type ConfigChange, type FromConfigOptions, formatInspection, startFromConfig } from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { failure, unique } from "../session-on-fake/scene.ts";

/** Creates a folder with these files. */
async function folder(files: Record<string, string>): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-config-"));
  onTestFinished(() => rm(cwd, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return cwd;
}

/** Starts a supervisor on a fake Claude. */
async function started(cwd: string, options: FromConfigOptions = {}) {
  const fake = fakeClaude();
  const defaults = { spawnClaudeCodeProcess: fake.spawn, ...options.options?.defaults };
  const supervisor = await startFromConfig({ cwd, ...options, options: { ...options.options, defaults } });
  return { fake, supervisor };
}

test("startFromConfig(): applies a TypeScript file with its environment's layer, and inspect() shows where options stand", async () => {
  const [one, two, family] = [unique("one"), unique("two"), unique("family")];
  vi.stubEnv("THE_MODEL", "model-of-the-environment");
  onTestFinished(() => void vi.unstubAllEnvs());
  const cwd = await folder({
    "castellan.config.ts": `
      const turns: number = 3;
      export default {
        name: "configured",
        journal: "memory",
        defaults: { maxTurns: turns, timeout: "1m" },
        children: [
          { name: ${JSON.stringify(one)}, model: { env: "THE_MODEL" } },
          { template: ${JSON.stringify(family)}, sessions: { model: "small" } },
        ],
        $production: { defaults: { timeout: "9s" }, children: [{ name: ${JSON.stringify(two)}, maxTurns: 9 }] },
        $env: { staging: { capacity: { maxProcesses: 1 } } },
      };`,
  });
  const { supervisor, fake } = await started(cwd, {
    environment: "production",
    options: { defaults: { queueTimeout: "7s" } },
  });
  await query([family, 1], "hi");
  expect(fake.processes.map(({ model }) => model)).toEqual(["model-of-the-environment", expect.any(String), "small"]);
  const inspection = supervisor.inspect();
  const file = "castellan.config.ts";
  const [first, , , second] = inspection.children;
  expect(inspection.children.map((child) => (child.kind === "session" ? child.status.name : child.kind))).toEqual([
    one,
    "template",
    two,
    [family, 1],
  ]);
  const text = formatInspection(inspection);
  expect(first).toMatchObject({
    options: {
      model: {
        value: "model-of-the-environment",
        origin: { from: "session", configured: { file, variable: "THE_MODEL" } },
      },
      maxTurns: { value: 3, origin: { from: "supervisor", name: "configured", configured: { file } } },
      timeout: { value: 9_000, origin: { from: "supervisor", configured: { file, layer: "production" } } },
      queueTimeout: { value: 7_000, origin: { from: "supervisor", name: "configured" } },
    },
  });
  expect(second).toMatchObject({
    options: { model: { origin: { from: "template", name: family, configured: { file } } } },
  });
  expect(inspection.options["journal"]).toEqual({
    value: "memory",
    origin: { from: "supervisor", name: "configured", configured: { file } },
  });
  expect(text).toContain('model = "model-of-the-environment"  (session, castellan.config.ts, variable THE_MODEL)');
  expect(text).toContain('timeout = 9s  (supervisor "configured", castellan.config.ts (production))');
  await supervisor.stop();
});

test("startFromConfig(): applies a changed file in development, keeps other processes, and ignores a wrong file", async () => {
  const [kept, changed, gone, added] = [unique("kept"), unique("changed"), unique("gone"), unique("added")];
  const config = (children: object[], rest: object = {}): string =>
    JSON.stringify({ journal: "memory", defaults: { maxTurns: 2 }, children, ...rest });
  const name = "castellan.config.json";
  const cwd = await folder({ [name]: config([{ name: kept }, { name: changed, maxTurns: 1 }, { name: gone }]) });
  const changes: ConfigChange[] = [];
  let told = Promise.withResolvers<ConfigChange>();
  const onChange = (change: ConfigChange): void => {
    changes.push(change);
    told.resolve(change);
    told = Promise.withResolvers();
  };
  const { supervisor } = await started(cwd, { environment: "development", onChange });
  const [pidKept, pidChanged] = [session(kept).status().pid, session(changed).status().pid];
  const rewritten = async (text: string): Promise<ConfigChange> => {
    const next = told.promise;
    await writeFile(join(cwd, name), text);
    return await next;
  };
  expect(await rewritten(config([{ name: kept }, { name: changed, maxTurns: 8 }, { name: added }]))).toMatchObject({
    applied: true,
    report: { added: [added], removed: [gone], changed: [changed], failed: [] },
    afterRestart: [],
  });
  expect(session(kept).status().pid).toBe(pidKept);
  expect(session(changed).status().pid).not.toBe(pidChanged);
  expect(await failure(query(gone, "hi"), "SESSION_NOT_FOUND")).toBeDefined();

  const wrong = await rewritten(config([{ name: kept, maxTurn: 8 }]));
  expect(wrong).toMatchObject({ applied: false, error: { code: "INVALID_OPTIONS" } });
  expect(session(added).status().state).toBe("idle");

  // The library that reads the file warns on the console, too.
  const warning = vi.spyOn(console, "warn").mockImplementation(() => {});
  const unreadable = await rewritten("{");
  warning.mockRestore();
  expect(unreadable).toMatchObject({ applied: false, error: { code: "INVALID_OPTIONS" } });

  const children = [{ name: kept }, { name: changed, maxTurns: 8 }, { name: added }];
  const last = await rewritten(config(children, { defaults: { maxTurns: 5 }, maxRestarts: 9 }));
  expect(last).toMatchObject({ applied: true, report: { changed: [kept, added] }, afterRestart: ["maxRestarts"] });
  await supervisor.startSession({ name: unique("later") });
  expect(supervisor.inspect().children.at(-1)).toMatchObject({ options: { maxTurns: { value: 5 } } });
  await supervisor.stop();
  expect(changes).toHaveLength(4);
});

test("startFromConfig(): a file overrides the file that it extends, and code overrides both", async () => {
  const name = unique();
  const cwd = await folder({
    "base.config.mjs": `export default { journal: "memory", maxRestarts: 1, capacity: { maxProcesses: 2, spares: 0 }, children: [{ name: ${JSON.stringify(name)}, maxTurns: 1 }] };`,
    "own.config.mjs": `export default { extends: "./base.config.mjs", maxRestarts: 2, children: [{ name: ${JSON.stringify(name)}, timeout: "3s" }] };`,
  });
  const more = unique("more");
  const { supervisor } = await started(cwd, {
    file: "own.config.mjs",
    environment: "test",
    children: [{ name: more }],
    options: { maxSeconds: 8, capacity: { maxProcesses: 5 } },
  });
  const { options, children } = supervisor.inspect();
  expect(options).toMatchObject({
    maxRestarts: { value: 2, origin: { configured: { file: "own.config.mjs" } } },
    maxSeconds: { value: 8, origin: { from: "supervisor" } },
    "capacity.maxProcesses": { value: 5, origin: { from: "supervisor" } },
    "capacity.spares": { value: 0, origin: { configured: { file: "base.config.mjs" } } },
  });
  expect(options["capacity.maxProcesses"]?.origin).not.toHaveProperty("configured");
  expect(children).toMatchObject([
    {
      options: {
        maxTurns: { value: 1, origin: { configured: { file: "base.config.mjs" } } },
        timeout: { value: 3_000, origin: { configured: { file: "own.config.mjs" } } },
      },
    },
    { status: { name: more } },
  ]);
  await supervisor.stop();
});

test.each([
  ["it is missing", {}, "no such file"],
  ["it is malformed", { "castellan.config.ts": "export default {" }, "could not be read"],
  [
    "a variable is not set",
    { "castellan.config.json": '{"children":[{"name":"a","model":{"env":"NOT_SET"}}]}' },
    "NOT_SET",
  ],
  [
    "the file that it extends is missing",
    { "castellan.config.json": '{"extends":"./bas.json"}' },
    "it extends ./bas.json",
  ],
  ["an option is unknown", { "castellan.config.json": '{"maxRestart":1}' }, "maxRestarts"],
  [
    "a layer's name is misspelt",
    { "castellan.config.json": '{"$prodution":{}}' },
    "`$prodution`: is not a layer; use $development, $test, $production, or `$env` for other environments; did you mean `$production`?",
  ],
  [
    "a layer of another environment is not in `$env`",
    { "castellan.config.json": '{"$staging":{}}' },
    "or `$env` for other environments",
  ],
  ["`$envs` is meant to be `$env`", { "castellan.config.json": '{"$envs":{}}' }, "did you mean `$env`"],
  [
    "a name in `$env` is misspelt",
    { "castellan.config.json": '{"$env":{"tset":{}}}' },
    "`$env.tset`: is not a known environment; did you mean `test`?",
  ],
  [
    "`$env` is no object",
    { "castellan.config.json": '{"$env":[]}' },
    "expected an object with one layer per environment",
  ],
  ["a layer is no object", { "castellan.config.json": '{"$test":3}' }, "expected an object"],
])("a configuration is refused with what is wrong if %s", async (_, files, words) => {
  const cwd = await folder(files as Record<string, string>);
  const error = await failure(started(cwd, { environment: "test" }), "INVALID_OPTIONS");
  expect(error.message).toContain(words);
});

test("startFromConfig(): rejects an environment whose name is close to a layer's, and accepts others without a layer", async () => {
  const cwd = await folder({ "castellan.config.json": '{"journal":"memory","$production":{},"$env":{"staging":{}}}' });
  const error = await failure(started(cwd, { environment: "stagin" }), "INVALID_OPTIONS");
  expect(error.message).toContain('no layer for the environment "stagin"; did you mean `staging`?');
  const { supervisor } = await started(cwd, { environment: "elsewhere" });
  await supervisor.stop();
});
