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
