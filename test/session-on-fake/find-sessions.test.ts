import { expect, test } from "vitest";
import type { FindOptions } from "../../src/application/finding.ts";
import { template } from "../../src/application/options/template.ts";
import type { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { SessionName } from "../../src/names.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "./application.ts";
import { failure, Scene, unique } from "./scene.ts";

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
