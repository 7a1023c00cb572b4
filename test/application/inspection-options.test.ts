import { expect, onTestFinished, test, vi } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { type ChildInspection, formatInspection, pool, template } from "../../src/index.ts";
import { eventually, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

/** Finds the options of a session anywhere in the tree. */
function optionsIn(children: readonly ChildInspection[], name: unknown) {
  const flat = (below: readonly ChildInspection[]): readonly ChildInspection[] =>
    below.flatMap((child) => (child.kind === "supervisor" ? flat(child.children) : [child]));
  const found = flat(children).find(
    (child) => child.kind === "session" && JSON.stringify(child.status.name) === JSON.stringify(name),
  );
  if (found?.kind !== "session") throw new Error(`${JSON.stringify(name)} is missing`);
  return found.options;
}

test("inspect(): shows the origin of each option, the nearest first", async () => {
  const [own, deep, family, members] = [unique(), unique(), unique("family"), unique("pool")];
  await using scene = await Scene.open({
    options: { name: "main", defaults: { maxTurns: 3, timeout: "1m", queueTimeout: "2m" } },
    children: [
      { name: own, maxTurns: 5, stallTimeout: "90s" },
      { name: "inner", defaults: { timeout: "5s" }, children: [{ name: deep }] },
      template(family, { maxTurns: 7 }),
      pool(members, { size: 1, queueTimeout: "3s" }),
    ],
  });
  await query([family, 1], "hi");
  await session(own).setModel("another");
  await session(own).setPermissionMode("plan");
  const { children } = scene.supervisor.inspect();
  expect(optionsIn(children, own)).toMatchObject({
    maxTurns: { value: 5, origin: { from: "session" } },
    stallTimeout: { value: 90_000, origin: { from: "session" } },
    timeout: { value: 60_000, origin: { from: "supervisor", name: "main" } },
    mailboxLimit: { value: 100, origin: { from: "built_in" } },
    model: { value: "another", origin: { from: "call" } },
    permissionMode: { value: "plan", origin: { from: "conversation" } },
  });
  expect(optionsIn(children, deep)).toMatchObject({
    timeout: { value: 5_000, origin: { from: "supervisor", name: "inner" } },
    maxTurns: { value: 3, origin: { from: "supervisor", name: "main" } },
  });
  expect(optionsIn(children, [family, 1])).toMatchObject({
    maxTurns: { value: 7, origin: { from: "template", name: family } },
    queueTimeout: { value: 120_000, origin: { from: "supervisor", name: "main" } },
  });
  expect(optionsIn(children, [members, 0])).toMatchObject({
    queueTimeout: { value: 3_000, origin: { from: "pool", name: members } },
  });
});

test("inspect(): shows a changed origin after a reconcile() that changed no value", async () => {
  const name = unique();
  await using scene = await Scene.open({ options: { defaults: { maxTurns: 3 } }, children: [{ name }] });
  expect(optionsIn(scene.supervisor.inspect().children, name)["maxTurns"]?.origin).toEqual({ from: "supervisor" });
  expect(await scene.supervisor.reconcile([{ name, maxTurns: 3 }])).toMatchObject({ changed: [], failed: [] });
  expect(optionsIn(scene.supervisor.inspect().children, name)["maxTurns"]?.origin).toEqual({ from: "session" });
  expect(scene.fake.processes).toHaveLength(1);
});

test("inspect(): hides keys, environments and other secrets, and names variables", async () => {
  const [keyed, referring, found] = [unique(), unique(), unique()];
  vi.stubEnv("ANTHROPIC_MODEL", "model-of-the-host");
  vi.stubEnv("ANTHROPIC_API_KEY", "sk-host-secret");
  onTestFinished(() => void vi.unstubAllEnvs());
  await using scene = await Scene.open({
    children: [
      { name: keyed, apiKey: "sk-secret", env: { TOKEN: "t0ken-secret" }, extraArgs: { "some-token": "flag-secret" } },
      {
        name: referring,
        apiKey: { env: "ANTHROPIC_API_KEY" },
        systemPrompt: { type: "preset", preset: "claude_code" },
      },
      { name: found, canUseTool: async () => ({ behavior: "allow", updatedInput: {} }) },
    ],
  });
  const inspection = scene.supervisor.inspect();
  const { children } = inspection;
  expect(optionsIn(children, keyed)).toMatchObject({
    apiKey: { value: "[hidden]", origin: { from: "session" } },
    env: { value: ["TOKEN"] },
    extraArgs: { value: ["some-token"] },
  });
  expect(optionsIn(children, referring)).toMatchObject({
    apiKey: { value: { env: "ANTHROPIC_API_KEY" }, origin: { from: "session" } },
    systemPrompt: { value: { type: "preset", preset: "claude_code" } },
  });
  expect(optionsIn(children, found)).toMatchObject({
    apiKey: { value: "[hidden]", origin: { from: "environment", variable: "ANTHROPIC_API_KEY" } },
    model: { value: "model-of-the-host", origin: { from: "environment", variable: "ANTHROPIC_MODEL" } },
    canUseTool: { value: "[function]" },
  });
  for (const shown of [JSON.stringify(inspection), formatInspection(inspection, { options: true })]) {
    expect(shown).not.toContain("secret");
  }
});

test("inspect(): shows the supervisor's options with their origin", async () => {
  vi.stubEnv("CASTELLAN_JOURNAL", "memory");
  onTestFinished(() => void vi.unstubAllEnvs());
  await using scene = await Scene.open({
    options: { name: "main", maxRestarts: 9, capacity: { maxProcesses: 4 }, budget: { usd: 5, per: "day" } },
  });
  const { options, budget, capacity } = scene.supervisor.inspect();
  expect(options).toMatchObject({
    strategy: { value: "one_for_one", origin: { from: "built_in" } },
    maxRestarts: { value: 9, origin: { from: "supervisor", name: "main" } },
    "capacity.maxProcesses": { value: 4, origin: { from: "supervisor", name: "main" } },
    "capacity.spares": { value: 1, origin: { from: "built_in" } },
  });
  expect(budget).toEqual({ limitUsd: 5, per: "day", spentUsd: 0, resetsAt: expect.any(Number) });
  expect(capacity.processes).toBe(1);
});

test("formatInspection(): prints the tree with states, processes, mailboxes, budgets, exits and origins", async () => {
  const clock = new SimulatedClock();
  const [one, family] = [unique("one"), unique("family")];
  await using scene = await Scene.open({
    clock,
    options: { name: "main", defaults: { timeout: "1m" }, capacity: { maxProcesses: 4 } },
    script: (turn) => turn.result({ text: "ok", costUsd: 0.25 }),
    children: [
      { name: one, budget: { usd: 2 } },
      { name: "inner", children: [template(family)] },
    ],
  });
  await query(one, "hi");
  scene.fake.processes[0]?.crash({ code: 3, stderr: "boom" });
  await eventually(() => session(one).status().state === "idle" && session(one).status().restarts === 1);
  const [, process] = scene.fake.processes;
  const text = formatInspection(scene.supervisor.inspect());
  const at = new Date(clock.now()).toISOString();
  expect(text.split("\n")).toEqual([
    'supervisor "main"  running  one_for_one',
    "│   processes 1 of 4  waiting 0  turns 0 running, 0 waiting  spares 0",
    "│   journal memory",
    '│   journal = "memory"  (variable CASTELLAN_JOURNAL)',
    '│   capacity.maxProcesses = 4  (supervisor "main")',
    `├─ session "${one}"  idle  pid ${process?.pid}  since ${at}  mailbox 0  restarts 1  spent $0.2500 of $2`,
    expect.stringMatching(/^│ +exit .*crash: .*3/),
    '│      spawnClaudeCodeProcess = "[function]"  (supervisor "main")',
    '│      timeout = 1m  (supervisor "main")',
    '│      budget = {"usd":2}  (session)',
    '└─ supervisor "inner"  running  one_for_one  restarts 0',
    `   └─ template "${family}"  0 in memory`,
  ]);
  expect(formatInspection(scene.supervisor.inspect(), { options: true })).toContain("mailboxLimit = 100  (built in)");
});

test("inspectSession(): shows what inspect() shows of one session, at any depth, and nothing of one that is not in memory", async () => {
  const [own, deep, family] = [unique(), unique(), unique("family")];
  await using scene = await Scene.open({
    children: [
      { name: own, maxTurns: 5, env: { TOKEN: "secret-of-env" } },
      { name: "inner", children: [{ name: deep, timeout: "5s" }] },
      template(family, { maxTurns: 7 }),
    ],
  });
  await query([family, 1], "hi");
  const { supervisor } = scene;
  const { children } = supervisor.inspect();
  for (const name of [own, deep, [family, 1]] as const) {
    const found = supervisor.inspectSession(name);
    expect(found).toMatchObject({ kind: "session", status: { name, state: "idle" }, lastExits: [] });
    expect(found?.options).toEqual(optionsIn(children, name));
  }
  expect(supervisor.inspectSession(own)?.options["env"]).toEqual({ value: ["TOKEN"], origin: { from: "session" } });
  expect(JSON.stringify(supervisor.inspectSession(own))).not.toContain("secret-of-env");
  expect([supervisor.inspectSession([family, 2]), supervisor.inspectSession("nobody")]).toEqual([undefined, undefined]);
  expect(supervisor.optionsOf([family, 2])).toMatchObject({ maxTurns: { value: 7 } });
  expect(() => supervisor.inspectSession("")).toThrow(expect.objectContaining({ code: "INVALID_OPTIONS" }));
});
