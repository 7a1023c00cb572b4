import { expect, it } from "vitest";
import { probe, query, Supervisor, session } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";
import { unique } from "../session-on-fake/scene.ts";

/** The ten seconds that a process has for its answer, and three for a busy machine. */
const DEADLINE_MS = 13_000;

it("Supervisor.health: reports a stopped process as unhealthy within the deadline, and as healthy once it continues", async () => {
  await using api = await mockApi();
  const [well, hangs] = [unique("well"), unique("hangs")];
  await using supervisor = await Supervisor.start([{ name: well }, { name: hangs }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  expect(await supervisor.health()).toEqual({
    phase: "running",
    status: "healthy",
    sessions: 2,
    active: 2,
    states: { idle: 2 },
    details: [],
  });
  expect([supervisor.livez().ok, supervisor.readyz().ok]).toEqual([true, true]);
  const { pid } = session(hangs).status();
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGSTOP");
  const since = performance.now();
  const health = await supervisor.health();
  expect(performance.now() - since).toBeLessThan(DEADLINE_MS);
  expect(health).toMatchObject({ status: "degraded", sessions: 2, active: 2, details: [{ name: hangs }] });
  expect(health.details).toMatchObject([{ status: "unhealthy", reason: expect.stringContaining("did not answer") }]);
  // Neither a restart of the application nor less work would help.
  expect([supervisor.livez().ok, supervisor.readyz().ok]).toEqual([true, true]);
  expect(await session(well).health()).toEqual({ status: "healthy" });
  process.kill(pid, "SIGCONT");
  expect(await session(hangs).health()).toEqual({ status: "healthy" });
  expect((await supervisor.health()).status).toBe("healthy");
  expect((await query(hangs, "hi")).text).toBe("You said: hi");
  expect(session(hangs).status()).toMatchObject({ pid, restarts: 0 });
});

it("probe: asks the model independently of the session's process, and leaves nothing behind", async () => {
  await using api = await mockApi();
  const name = unique("probed");
  await using supervisor = await Supervisor.start([{ name, model: "claude-haiku-4-5" }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  await query(name, "Remember the keep.");
  const { pid } = session(name).status();
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGSTOP");
  try {
    expect(await probe(name)).toMatchObject({ ok: true, costUsd: expect.any(Number) });
  } finally {
    process.kill(pid, "SIGCONT");
  }
  expect(api.lastRequest?.model).toContain("haiku");
  expect(api.lastRequest?.messages.some(({ text }) => text.includes("keep"))).toBe(false);
  api.reply("Answer with the word ok", { error: { status: 401, message: "invalid x-api-key" } });
  expect(await probe(name)).toMatchObject({ ok: false, error: { details: { class: "auth" } } });
  expect((await query(name, "What did I just say?")).text).toBe("You just said: Remember the keep.");
  expect(session(name).status()).toMatchObject({ pid, restarts: 0 });
  await supervisor.stop();
  expect(processesWith(api.cwd)).toEqual([]);
  expect(supervisor.livez().ok).toBe(true);
  expect(supervisor.readyz()).toMatchObject({ ok: false, checks: [{ name: "supervisor", ok: false }, {}, {}] });
});
