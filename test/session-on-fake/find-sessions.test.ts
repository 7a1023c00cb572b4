import { expect, test } from "vitest";
import type { FindOptions, SessionInfo } from "../../src/application/finding.ts";
import { template } from "../../src/application/options/template.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { SessionName } from "../../src/names.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { failure, Scene, unique, within } from "./scene.ts";

/** Finds all sessions, page by page. */
async function all(supervisor: Supervisor, options: FindOptions = {}): Promise<[SessionName, string][]> {
  const found: [SessionName, string][] = [];
  for (;;) {
    const page = await supervisor.findSessions({ limit: 2, ...options, after: found.at(-1)?.[0] });
    if (page.length === 0) return found;
    found.push(...page.map(({ name, state }): [SessionName, string] => [name, state]));
  }
}

test("supervisor.findSessions(): has sessions in memory and those that only the journal knows, by name", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const [support, single] = [unique("a-support"), unique("b-single")];
  const labelled = template(support, (user: string, plan: string = "free") => ({ labels: { user, plan } }));
  const first = await run(both, [labelled, { name: single }]);
  for (const user of ["ann", "bob", "cid", "dan"]) await first.query([support, user], "hello");
  await first.query([support, "ann", "paid"], "hello");
  await first.session([support, "cid"]).describe({ archived: true, title: "Old" });
  await first.stop();
  await using second = await run(both, [labelled, { name: single }]);
  await second.query([support, "bob"], "again");
  expect(await all(second)).toEqual(
    [
      [single, "idle"],
      [[support, "ann"], "stored"],
      [[support, "ann", "paid"], "stored"],
      [[support, "bob"], "idle"],
      [[support, "dan"], "stored"],
    ].toSorted(byKey),
  );
  expect(await all(second, { prefix: support, state: "stored" })).toHaveLength(3);
  expect(await all(second, { prefix: [support, "ann"] })).toEqual(
    [
      [[support, "ann"], "stored"],
      [[support, "ann", "paid"], "stored"],
    ].toSorted(byKey),
  );
  expect(await all(second, { prefix: single })).toEqual([[single, "idle"]]);
  expect(await all(second, { labels: { user: "ann" } })).toHaveLength(2);
  expect(await all(second, { labels: { user: "bob", plan: "free" } })).toEqual([[[support, "bob"], "idle"]]);
  expect(await all(second, { labels: { user: "nobody" } })).toEqual([]);
  expect(await all(second, { state: "idle" })).toHaveLength(2);
  const [archived] = await second.findSessions({ state: "archived" });
  expect(archived).toMatchObject({ name: [support, "cid"], title: "Old", labels: { user: "cid" }, state: "archived" });
  expect(archived).not.toHaveProperty("status");
  const [found] = await second.findSessions({ labels: { user: "bob" } });
  expect(found?.status?.pid).toEqual(expect.any(Number));
  // Nothing of the others was brought into memory.
  expect(second.listSessions()).toHaveLength(2);
  const costs = await second.usage({ label: "user" });
  expect(costs.map(({ label, costUsd }) => [label, costUsd]).toSorted()).toEqual([
    ["ann", 0.02],
    ["bob", 0.02],
    ["cid", 0.01],
    ["dan", 0.01],
  ]);
  await second.eraseSession([support, "dan"]);
  expect(await all(second, { labels: { user: "dan" } })).toEqual([]);
  await second.stop();
  expectNothingLeft(both.fake);
});

test("supervisor.findSessions(): shows a session that was never used, and refuses wrong options", async () => {
  await using scene = await Scene.open({ session: { labels: { user: "ann" }, activation: "lazy" } });
  expect(await all(scene.supervisor, { labels: { user: "ann" } })).toEqual([[scene.name, "hibernated"]]);
  const wrong = [{ state: "gone" }, { limit: 0 }, { prefix: [] }, { labels: { a: 1 } }, { before: "x" }];
  for (const options of wrong) await failure(scene.supervisor.findSessions(options as FindOptions), "INVALID_OPTIONS");
  await scene.supervisor.stop();
  await failure(scene.supervisor.findSessions(), "SUPERVISOR_STOPPED");
});

function byKey([one]: unknown[], [other]: unknown[]): number {
  return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1;
}

test("supervisor.findSessions(): lists sessions in the order of their creation, page by page", async () => {
  const clock = new SimulatedClock();
  const both = { fake: fakeClaude(), journal: memoryJournal(), clock };
  const support = unique("support");
  const first = await run(both, [template(support)]);
  for (const user of ["dan", "ann", "cid", "bob"]) {
    await clock.advance(1_000);
    await within(clock, first.query([support, user], "hello"));
  }
  await within(clock, first.session([support, "cid"]).describe({ archived: true }));
  await within(clock, first.stop());
  const second = await run(both, [template(support)]);
  await within(clock, second.query([support, "ann"], "again"));
  const list = async (options: FindOptions): Promise<string[]> => {
    const found: SessionInfo[] = [];
    let page = await second.findSessions({ limit: 1, ...options });
    for (; page.length > 0; page = await second.findSessions({ limit: 1, ...options, after: page[0] }))
      found.push(...page);
    return found.map(({ name }) => String(name[1]));
  };
  expect(await list({ order: "newest" })).toEqual(["bob", "ann", "dan"]);
  expect(await list({ order: "oldest", prefix: support })).toEqual(["dan", "ann", "bob"]);
  expect(await list({ order: "newest", state: "any" })).toEqual(["bob", "cid", "ann", "dan"]);
  expect(await list({ order: "newest", state: "archived" })).toEqual(["cid"]);
  expect(await list({ order: "newest", prefix: "other" })).toEqual([]);
  const [{ createdAt = 0 } = {}] = await second.findSessions({ order: "newest", prefix: [support, "ann"] });
  expect(await list({ order: "newest", created: { from: createdAt } })).toEqual(["bob", "ann"]);
  expect(await list({ order: "newest", created: { to: createdAt - 1 } })).toEqual(["dan"]);
  await failure(second.findSessions({ created: { from: 1 } }), "INVALID_OPTIONS");
  await failure(second.findSessions({ order: "newest", after: [support, "ann"] }), "INVALID_OPTIONS");
  await within(clock, second.stop());
});

test("supervisor.findSession(): has the metadata of a session", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const support = unique("support");
  const first = await run(both, [template(support)]);
  await first.query([support, "ann"], "hello");
  await first.session([support, "ann"]).describe({ title: "Ann", metadata: { plan: { paid: true } } });
  expect(await first.findSession([support, "ann"])).toMatchObject({ state: "idle", title: "Ann" });
  await first.stop();
  await using second = await run(both, [template(support)]);
  const found = await second.findSession([support, "ann"]);
  expect(found).toMatchObject({
    name: [support, "ann"],
    state: "stored",
    title: "Ann",
    metadata: { plan: { paid: true } },
  });
  expect(await second.findSession([support, "bob"])).toBeUndefined();
  expect(second.listSessions()).toEqual([]);
  await second.session([support, "ann"]).describe({ metadata: null });
  expect(second.session([support, "ann"]).status()).not.toHaveProperty("metadata");
  const large = second.session([support, "ann"]).describe({ metadata: { large: "x".repeat(70_000) } });
  await failure(large, "INVALID_OPTIONS");
});

test("supervisor.templates() and optionsOf(): show the options of templates and their sessions", async () => {
  const made = unique("made");
  const alike = unique("alike");
  const single = unique("single");
  const children = [
    template(alike, { systemPrompt: "You help" }),
    template(made, (user: string) => ({ systemPrompt: `You help ${user}` })),
    { name: single, model: "m" },
  ];
  await using scene = await Scene.open({ children });
  const { supervisor } = scene;
  expect(supervisor.templates()).toMatchObject([
    { name: alike, options: { systemPrompt: { value: "You help", origin: { from: "template" } } } },
    { name: made },
  ]);
  expect(supervisor.templates()[1]).not.toHaveProperty("options");
  expect(supervisor.optionsOf([made, "ann"])?.["systemPrompt"]?.value).toBe("You help ann");
  expect(supervisor.optionsOf(single)?.["model"]).toMatchObject({ value: "m", origin: { from: "session" } });
  expect(supervisor.optionsOf("nobody")).toBeUndefined();
  expect(supervisor.listSessions()).toHaveLength(1);
});

test("supervisor.findSession(): has a session in memory or in the journal, and brings none into memory", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const support = unique("support");
  const labelled = template(support, (user: string) => ({ labels: { user } }));
  const first = await run(both, [labelled]);
  await first.query([support, "ann"], "hello");
  await first.session([support, "bob"]).describe({ archived: true });
  expect(await first.findSession([support, "ann"])).toMatchObject({ state: "idle", labels: { user: "ann" } });
  await first.stop();
  await using second = await run(both, [labelled]);
  expect(await second.findSession([support, "ann"])).toMatchObject({
    name: [support, "ann"],
    state: "stored",
    labels: { user: "ann" },
  });
  expect(await second.findSession([support, "bob"])).toMatchObject({ state: "archived" });
  for (const other of [[support, "cid"], [support], support] as const) {
    expect(await second.findSession(other)).toBeUndefined();
  }
  expect(second.listSessions()).toEqual([]);
  await failure(second.findSession(JSON.parse("[]")), "INVALID_OPTIONS");
  await second.stop();
  await failure(second.findSession([support, "ann"]), "SUPERVISOR_STOPPED");
  expectNothingLeft(both.fake);
});
