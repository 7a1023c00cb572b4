import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Supervisor, session } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("a scheduled prompt runs once on the real Claude Code, after a restart of the application that missed it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-schedules-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await using api = await messagesApi(() => ({ text: "The report." }));
  const name = unique();
  const start = () =>
    Supervisor.start([{ name, labels: { tenant: "acme" } }], {
      journal: { sqlite: join(folder, "castellan.db") },
      defaults: { env: api.env, cwd: api.cwd },
    });
  let id = "";
  const runAt = Date.now() + 2_000;
  {
    await using _ = await start();
    id = await session(name).enqueue("Write the report.", { runAt, metadata: { report: 1 } });
    expect(await session(name).schedules()).toMatchObject([{ id, prompt: "Write the report.", nextAt: runAt }]);
  }
  await expect.poll(() => Date.now(), { timeout: 5_000 }).toBeGreaterThan(runAt);
  await using supervisor = await start();
  await expect.poll(async () => (await session(name).turn(id))?.state, { timeout: 20_000 }).toBe("completed");
  const turn = await session(name).turn(id);
  expect((await turn?.result())?.text).toBe("The report.");
  expect(turn?.metadata).toEqual({ report: 1 });
  expect(await session(name).schedules()).toEqual([]);
  expect(await session(name).turns()).toMatchObject([{ id, state: "completed", metadata: { report: 1 } }]);
  expect(await supervisor.findSessions({ labels: { tenant: "acme" } })).toMatchObject([{ name }]);
  const asked = api.requests.filter(({ body }) => JSON.stringify(body.messages).includes("Write the report."));
  expect(asked).toHaveLength(1);
});

it("title, labels, archived state, costs by label, `every` and a cron schedule survive a restart with the real Claude Code", {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-schedules-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await using api = await messagesApi(() => ({ text: "Checked." }));
  const [name, other] = [unique(), unique()];
  const start = () =>
    Supervisor.start(
      [
        { name, title: "From options", labels: { tenant: "acme" } },
        { name: other, labels: { tenant: "umbrella" } },
      ],
      {
        journal: { sqlite: join(folder, "castellan.db") },
        defaults: { env: api.env, cwd: api.cwd },
      },
    );
  const completed = async (id: string, runs: number): Promise<void> => {
    const ofSchedule = async () => {
      const turns = await session(name).turns({ state: "completed" });
      return turns.filter(({ prompt }) => prompt === `Check ${id}.`).length >= runs;
    };
    await expect.poll(ofSchedule, { timeout: 40_000, interval: 100 }).toBe(true);
  };
  {
    await using _ = await start();
    await session(other).query("Hello.");
    await session(name).query("Hello.");
    await session(name).describe({ title: "Invoices", labels: { plan: "paid" } });
    await session(other).describe({ labels: { plan: "paid" }, archived: true });
    await session(name).enqueue("Check every.", { every: "2s" });
    await session(name).enqueue("Check cron.", { every: "*/2 * * * * *", timezone: "UTC" });
    await completed("every", 2);
    await completed("cron", 2);
  }
  await using supervisor = await start();
  expect(session(name).status()).toMatchObject({
    title: "Invoices",
    labels: { tenant: "acme", plan: "paid" },
  });
  expect(session(other).status().archivedAt).toEqual(expect.any(Number));
  const found = async (query: object): Promise<unknown[]> =>
    (await supervisor.findSessions(query)).map((info) => info.name);
  expect(await found({ labels: { plan: "paid" }, state: "archived" })).toEqual([other]);
  expect(await found({ labels: { plan: "paid" } })).toEqual([name]);
  const schedules = await session(name).schedules();
  expect(schedules.map(({ prompt }) => prompt).toSorted()).toEqual(["Check cron.", "Check every."]);
  const runs = (await session(name).turns({ state: "completed", limit: 1_000 })).length;
  await completed("every", 3);
  await completed("cron", 3);
  for (const { id } of await session(name).schedules()) await session(name).cancelSchedule(id);
  expect(await session(name).schedules()).toEqual([]);
  expect(runs).toBeGreaterThanOrEqual(5);
  // Each run asked the model once.
  const turns = await session(name).turns({ limit: 1_000 });
  expect(new Set(turns.map(({ id }) => id)).size).toBe(turns.length);
  const usage = await supervisor.usage({ by: [], label: "tenant" });
  const spent = new Map(usage.map(({ label, costUsd }) => [label, costUsd]));
  expect([...spent.keys()].toSorted()).toEqual(["acme", "umbrella"]);
  expect(spent.get("acme")).toBeGreaterThan(spent.get("umbrella") ?? Number.POSITIVE_INFINITY);
});
