import { expect, test } from "vitest";
import { pool, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { failure, Scene, unique, within } from "./scene.ts";

const DAY = 24 * 60 * 60_000;

/** Takes the cost of each turn from its prompt. */
const spend = () =>
  fakeClaude(async (turn) => {
    if (turn.prompt === "die" && turn.index % 2 === 0) await turn.crash();
    await turn.result({ text: "ok", costUsd: Number(turn.prompt) || 0, usage: { inputTokens: 3, outputTokens: 2 } });
  });

test("usage(): groups costs by session, model and day, over crashes and restarts of the application", async () => {
  const [clock, name, other] = [new SimulatedClock(), unique("a"), unique("b")];
  const both = { fake: spend(), journal: memoryJournal(), clock };
  const children = [{ name }, { name: other, model: "claude-other" }];
  const first = await within(clock, run(both, children));
  for (const prompt of ["1", "2"]) await within(clock, first.query(name, prompt));
  await within(clock, first.query(other, "4"));
  await within(clock, first.query(name, "die"));
  await within(clock, first.stop());
  await clock.advance(DAY);
  const second = await within(clock, run(both, children));
  await within(clock, second.query(name, "8"));
  const total = async (options = {}) => (await second.usage(options)).map(({ costUsd }) => costUsd);
  expect(await total()).toEqual([15]);
  expect(await total({ since: "1970-01-02" })).toEqual([8]);
  expect(await total({ until: "1970-01-01" })).toEqual([7]);
  const bySession = await second.usage({ by: ["session"] });
  expect(bySession.map(({ session, costUsd }) => [session, costUsd])).toEqual([
    [name, 11],
    [other, 4],
  ]);
  const byDay = await second.session(name).usage({ by: ["day"] });
  expect(byDay.map(({ day, costUsd }) => [day, costUsd])).toEqual([
    ["1970-01-01", 3],
    ["1970-01-02", 8],
  ]);
  expect((await second.usage({ by: ["model"] })).map(({ model }) => model)).toContain("claude-other");
  // "die" counts once: only its second try has spent.
  expect((await second.usage({ by: ["day"] })).map(({ turns }) => turns)).toEqual([4, 1]);
  expect((await second.session(name).usage())[0]?.usage.outputTokens).toBe(8);
  for (const since of ["yesterday", "2026-13-01", "2026-02-30", "2026-2-3"]) {
    await failure(second.usage({ since }), "INVALID_OPTIONS");
    await failure(second.session(name).usage({ until: since }), "INVALID_OPTIONS");
  }
  // What concerns all sessions is no option of one.
  const global = { global: true } as object;
  await failure(second.session(name).usage(global), "INVALID_OPTIONS");
  await within(clock, second.stop());
});

test("usage(): is empty without costs", async () => {
  await using scene = await Scene.open();
  expect(await scene.session.usage()).toEqual([]);
  expect(await scene.supervisor.usage({ by: ["model", "day"] })).toEqual([]);
});

test("budget: rejects new turns with BUDGET_EXCEEDED once spent, completes accepted ones, and persists over a restart", async () => {
  const both = { fake: spend(), journal: memoryJournal() };
  const name = unique();
  const children = [{ name, budget: { usd: 3 } }];
  const first = await run(both, children);
  const accepted = ["1", "2", "0.5"].map((prompt) => first.query(name, prompt));
  await Promise.all(accepted);
  const error = await failure(first.query(name, "1"), "BUDGET_EXCEEDED");
  expect(error.details).toEqual({ scope: "session", limitUsd: 3, spentUsd: 3.5 });
  await first.stop();
  const second = await run(both, children);
  await failure(second.session(name).enqueue("1"), "BUDGET_EXCEEDED");
  // `clear()` does not restore the budget; a larger one does.
  await second.session(name).clear();
  await failure(second.query(name, "1"), "BUDGET_EXCEEDED");
  await second.reconcile([{ name, budget: { usd: 4 } }]);
  expect((await second.query(name, "1")).costUsd).toBe(1);
  await failure(second.query(name, "1"), "BUDGET_EXCEEDED");
  await second.stop();
});

test('budget: `per: "day"` starts anew each day, in UTC', async () => {
  const [clock, name] = [new SimulatedClock(), unique()];
  const both = { fake: spend(), journal: memoryJournal(), clock };
  const application = await within(clock, run(both, [{ name, budget: { usd: 1, per: "day" } }]));
  await within(clock, application.query(name, "1"));
  await failure(application.query(name, "1"), "BUDGET_EXCEEDED");
  await clock.advance(DAY - clock.now());
  expect((await within(clock, application.query(name, "1"))).costUsd).toBe(1);
  await failure(application.query(name, "1"), "BUDGET_EXCEEDED");
  await within(clock, application.stop());
});

test("budget: a supervisor's budget covers all its sessions, ended ones included", async () => {
  const both = { fake: spend(), journal: memoryJournal() };
  const [a, b] = [unique("a"), unique("b")];
  const first = await run(both, [{ name: a }, { name: b }], { budget: { usd: 3 } });
  await first.query(a, "1");
  await first.query(b, "1");
  await first.terminateSession(a);
  await first.stop();
  const second = await run(both, [{ name: b }], { budget: { usd: 3 } });
  await second.query(b, "1");
  const error = await failure(second.query(b, "1"), "BUDGET_EXCEEDED");
  expect(error.details).toMatchObject({ scope: "supervisor", spentUsd: 3 });
  expect(error.message).toContain('supervisor "application"');
  await second.stop();
  // The budget belongs to the supervisor's name, so another one starts at zero.
  const third = await run(both, [{ name: b }], { name: "another", budget: { usd: 3 } });
  expect((await third.query(b, "1")).costUsd).toBe(1);
  await third.stop();
});

test.each([{ usd: 0 }, { usd: -1 }, { usd: "3" }, { usd: 3, per: "week" }, {}])("budget: rejects %j", async (wrong) => {
  const budget = wrong as { usd: number };
  await failure(run({ fake: spend(), journal: memoryJournal() }, [{ name: unique(), budget }]), "INVALID_OPTIONS");
  await failure(run({ fake: spend(), journal: memoryJournal() }, [], { budget }), "INVALID_OPTIONS");
});

test("TURN_FAILED: has the turn's cost in `costUsd`", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.result({ subtype: "error_max_turns", costUsd: 0.25 }),
  });
  const error = await failure(scene.session.query("go"), "TURN_FAILED");
  expect(error.details.costUsd).toBe(0.25);
  expect((await scene.session.usage())[0]?.costUsd).toBe(0.25);
});

test("budgets(): returns the supervisor's budget, then those of sessions, templates and pools, the most used first", async () => {
  const [clock, name, family, team] = [new SimulatedClock(), unique("a"), unique("support"), unique("team")];
  const setting = { fake: spend(), journal: memoryJournal(), clock };
  const children = [
    { name, budget: { usd: 8, per: "day" } },
    { name: unique("unlimited") },
    template(family, () => ({ budget: { usd: 2 } })),
    pool(team, { size: 1, budget: { usd: 4, per: "day" } }),
  ] as const;
  const application = await within(clock, run(setting, children, { budget: { usd: 100 } }));
  await within(clock, application.query(name, "2"));
  await within(clock, application.query([family, "ann"], "1"));
  await within(clock, application.pool(team).query("3"));
  expect(application.budgets()).toEqual([
    { limitUsd: 100, per: "ever", spentUsd: 6 },
    { session: [team, 0], pool: team, limitUsd: 4, per: "day", spentUsd: 3, resetsAt: DAY },
    { session: [family, "ann"], template: family, limitUsd: 2, per: "ever", spentUsd: 1 },
    { session: name, limitUsd: 8, per: "day", spentUsd: 2, resetsAt: DAY },
  ]);
  await clock.advance(DAY);
  expect(application.budgets().map(({ spentUsd }) => spentUsd)).toEqual([6, 1, 0, 0]);
  expect(await application.usage({ global: true })).toEqual([]);
  await within(clock, application.stop());
});

test.each([
  [{}, {}],
  [
    { maxProcesses: 3, memoryBudget: "1GB", maxConcurrentTurns: 2 },
    { processes: 3, memoryBytes: 2 ** 30, turns: 2 },
  ],
  [{ maxConcurrentTurns: { total: 5, perKey: 1 } }, { turns: 5, turnsPerKey: 1 }],
] as const)("capacity(): tells the limits of %j, and the memory where it is limited", async (capacity, limits) => {
  await using scene = await Scene.open({ options: { capacity }, readMemory: async () => new Map() });
  const status = scene.supervisor.capacity();
  expect(status).toMatchObject({ processes: 1, limits });
  expect(status.limits).toEqual(limits);
  expect("memoryBytes" in status).toBe("memoryBudget" in capacity);
});
