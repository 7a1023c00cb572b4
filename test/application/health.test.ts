import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { CastellanError } from "../../src/errors.ts";
import { healthHandlers, template } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "../session-on-fake/application.ts";
import { eventually, Scene, ticks, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

test("supervisor.health(): counts sessions by state, and names the unhealthy ones with the reason", async () => {
  const [well, broken, family] = [unique("well"), unique("broken"), unique("family")];
  await using scene = await Scene.open({
    children: [{ name: well }, { name: broken, apiKey: { env: "NOT_SET_ANYWHERE" } }, template(family)],
  });
  session([family, 1]);
  await eventually(() => session([family, 1]).status().state === "hibernated");
  expect(await scene.supervisor.health()).toEqual({
    phase: "running",
    status: "degraded",
    sessions: 3,
    active: 1,
    states: { idle: 1, quarantined: 1, hibernated: 1 },
    details: [{ name: broken, status: "unhealthy", reason: expect.stringContaining("NOT_SET_ANYWHERE") }],
  });
  // The check woke no session and asked no model.
  expect(scene.fake.processes).toHaveLength(1);
  await scene.supervisor.terminateSession(broken);
  expect((await scene.supervisor.health()).status).toBe("healthy");
});

test("supervisor.health(): gives up on a session that does not answer after ten seconds", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  scene.fake.processes[0]?.freeze();
  const asked = scene.supervisor.health();
  await ticks(5);
  await clock.advance(10_000);
  expect((await asked).details).toMatchObject([{ name: scene.name, status: "unhealthy" }]);
  scene.fake.processes[0]?.thaw();
});

test("livez() and readyz(): a draining or stopped supervisor is alive, but not ready", async () => {
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await gate.promise;
      await turn.text("done");
    },
  });
  const { supervisor } = scene;
  const { livez, readyz } = healthHandlers(supervisor);
  expect([livez().status, readyz().status]).toEqual([200, 200]);
  const turn = query(scene.name, "hi");
  await scene.fake.prompted(1);
  const drained = supervisor.drain();
  expect(supervisor.livez()).toEqual({ ok: true, checks: [{ name: "supervisor", ok: true }] });
  const answer = readyz(new Request("http://localhost/readyz"));
  expect(answer.status).toBe(503);
  expect(await answer.json()).toEqual({
    status: "unavailable",
    checks: [
      { name: "supervisor", ok: false, reason: "it is draining" },
      { name: "journal", ok: true },
      { name: "sessions", ok: true },
    ],
  });
  gate.resolve();
  await Promise.all([turn, drained]);
  expect([livez().status, readyz().status]).toEqual([200, 503]);
});

test("livez() and readyz(): an escalated supervisor is not alive; one with quarantined sessions only is not ready", async () => {
  const script = async (turn: { crash(): Promise<never> }): Promise<void> => await turn.crash();
  await using scene = await Scene.open({
    script,
    session: { onInterruptedTurn: "fail" },
    options: { maxRestarts: 0, onMaxRestarts: "escalate" },
  });
  await query(scene.name, "die").catch(() => {});
  await scene.supervisor.closed;
  expect(scene.supervisor.livez()).toEqual({
    ok: false,
    checks: [{ name: "supervisor", ok: false, reason: "max_restarts" }],
  });
  expect(scene.supervisor.readyz().ok).toBe(false);
  await using other = await Scene.open({ session: { apiKey: { env: "NOT_SET_ANYWHERE" } } });
  expect(other.supervisor.livez().ok).toBe(true);
  expect(other.supervisor.readyz().checks).toContainEqual({
    name: "sessions",
    ok: false,
    reason: "all sessions are quarantined or stopped",
  });
  expect((await other.supervisor.health()).status).toBe("unhealthy");
});

test("readyz(): is false while the journal rejects writes", async () => {
  const journal = memoryJournal();
  let away = false;
  const write = journal.write.bind(journal);
  journal.write = async (batch) => {
    if (away)
      throw new CastellanError("JOURNAL_UNAVAILABLE", "away", { details: { reason: "unreachable", applied: false } });
    await write(batch);
  };
  const name = unique();
  await using supervisor = await run({ fake: fakeClaude(), journal }, [{ name }]);
  away = true;
  const turn = supervisor.query(name, "hi");
  await eventually(() => !supervisor.readyz().ok);
  expect(supervisor.readyz().checks).toContainEqual({
    name: "journal",
    ok: false,
    reason: expect.stringContaining("away"),
  });
  expect(supervisor.livez().ok).toBe(true);
  away = false;
  await turn;
  expect(supervisor.readyz().ok).toBe(true);
});
