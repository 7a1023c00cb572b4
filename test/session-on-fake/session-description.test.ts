import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { DescribeOptions } from "../../src/session/persistence/live-description.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

test("session.describe(): changes title and labels over the options, and null returns to the options", async () => {
  await using scene = await Scene.open({ session: { title: "From options", labels: { user: "ann", plan: "free" } } });
  const { session } = scene;
  expect(session.status()).toMatchObject({ title: "From options", labels: { user: "ann", plan: "free" } });
  expect(session.status().createdAt).toEqual(expect.any(Number));
  await session.describe({ title: "Invoices", labels: { plan: "paid", region: "eu" } });
  const labels = { user: "ann", plan: "paid", region: "eu" };
  expect(session.status()).toMatchObject({ title: "Invoices", labels });
  const [shown] = scene.supervisor.inspect().children;
  expect(shown).toMatchObject({ status: { title: "Invoices", labels } });
  await session.describe({ title: null, labels: { plan: null } });
  expect(session.status()).toMatchObject({
    title: "From options",
    labels: { user: "ann", plan: "free", region: "eu" },
  });
  await scene.supervisor.reconcile([{ name: scene.name, labels: { tenant: "t" } }]);
  await eventually(() => session.status().labels?.["tenant"] === "t");
  expect(session.status().labels).toEqual({ tenant: "t", region: "eu" });
});

test("session.describe(): calls at once change only what each of them names", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, labels: { user: "ann" } }]);
  const session = first.session(name);
  await Promise.all([
    session.describe({ labels: { plan: "paid" } }),
    session.describe({ labels: { region: "eu", user: null } }),
    session.describe({ title: "Both" }),
    session.describe({ labels: { plan: "trial" } }),
    session.describe({ archived: true }),
  ]);
  const expected = { title: "Both", labels: { user: "ann", plan: "trial", region: "eu" } };
  expect(session.status()).toMatchObject({ ...expected, archivedAt: expect.any(Number) });
  await first.stop();
  await using second = await run(both, [{ name, labels: { user: "ann" } }]);
  expect(second.session(name).status()).toMatchObject({ ...expected, archivedAt: expect.any(Number) });
});

test("session.describe(): refuses wrong and too many labels, and nothing has changed", async () => {
  await using scene = await Scene.open({ session: { labels: { user: "ann" } } });
  const { session } = scene;
  const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`label${n}`, "x"]));
  const wrong: unknown[] = [
    { title: "" },
    { title: "a\u0000b" },
    { labels: { "no spaces": "x" } },
    { labels: { a: 1 } },
  ];
  for (const options of [...wrong, { labels: many }, { archived: "yes" }, { name: "x" }]) {
    await failure(session.describe(options as DescribeOptions), "INVALID_OPTIONS");
  }
  expect(session.status().labels).toEqual({ user: "ann" });
  expect(session.status().title).toBeUndefined();
});

test("session.describe(): survives a restart of the application, with the time of creation", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name, labels: { user: "ann" } }]);
  await first.session(name).query("one");
  await first.session(name).describe({ title: "Kept", labels: { plan: "paid" } });
  const { createdAt } = first.session(name).status();
  await first.stop();
  await using second = await run(both, [{ name, labels: { user: "bob" } }]);
  const status = second.session(name).status();
  expect(status).toMatchObject({ title: "Kept", labels: { user: "bob", plan: "paid" }, createdAt });
  // Changed options are in the journal without any turn.
  await second.session(name).turns();
  const [entry] = await both.journal.sessions([JSON.stringify(name)]);
  expect(entry?.description?.labels).toEqual({ user: "bob", plan: "paid" });
  await second.stop();
  expectNothingLeft(both.fake);
});

test("session.describe({ archived }): ends the process, until the session is used or it is taken back", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const session = first.session(name);
  await session.query("one");
  await session.describe({ archived: true });
  expect(session.status()).toMatchObject({ state: "hibernated", archivedAt: expect.any(Number) });
  expect(both.fake.running).toEqual([]);
  await first.stop();
  const second = await run(both, [{ name }]);
  // No process starts with the application.
  expect(second.session(name).status()).toMatchObject({ state: "hibernated", archivedAt: expect.any(Number) });
  expect((await second.query(name, "two")).text).toBe("You said: two");
  expect(second.session(name).status().archivedAt).toBeUndefined();
  await second.session(name).describe({ archived: true });
  await second.session(name).describe({ archived: false });
  expect(second.session(name).status()).toMatchObject({ state: "hibernated" });
  expect(second.session(name).status().archivedAt).toBeUndefined();
  await second.stop();
  expectNothingLeft(both.fake);
});

test("session.describe({ archived }): refuses a busy session, which stays as it was", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.text("begun");
      await released;
    },
  });
  const turn = scene.session.stream("hold");
  await eventually(() => scene.session.current?.id === turn.id);
  await failure(scene.session.describe({ archived: true, title: "New" }), "SESSION_BUSY");
  expect(scene.session.status().archivedAt).toBeUndefined();
  expect(scene.session.status().title).toBeUndefined();
  release();
  await turn.result();
});

test("A template computes labels from the key, and a session that was only named is not in the journal", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique("support");
  await using supervisor = await run(both, [template(name, (user: string) => ({ labels: { user } }))]);
  expect(supervisor.session([name, "ann"]).status().labels).toEqual({ user: "ann" });
  await supervisor.query([name, "bob"], "hello");
  const known = await both.journal.sessions([JSON.stringify([name, "ann"]), JSON.stringify([name, "bob"])]);
  expect(known.map(({ description }) => description?.labels)).toEqual([{ user: "bob" }]);
});
