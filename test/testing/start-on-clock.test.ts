import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import { claudeStubs, expectNoLeaks, SimulatedClock, says, stalls, startOnClock } from "../../src/testing/index.ts";
import { eventually, failure, unique } from "../session-on-fake/scene.ts";

test("startOnClock: runs timeouts, idle times and back-off on the simulated clock", async () => {
  using claude = claudeStubs();
  claude.install();
  const clock = new SimulatedClock();
  const name = unique();
  claude.stub(name, [says("hello")]);
  const supervisor = await startOnClock(clock, [{ name, idleTimeout: "10m" }], { journal: "memory" });
  await query(name, "hi");
  await clock.advance(10 * 60_000 - 1);
  expect(session(name).status().state).toBe("idle");
  await clock.advance(1);
  await eventually(() => session(name).status().state === "hibernated");

  claude.stub(name, [stalls()]);
  const late = failure(query(name, "hi", { timeout: "3m" }), "TURN_TIMEOUT");
  await claude.fake.prompted(2);
  await clock.advance(3 * 60_000);
  expect((await late).message).toContain("3m");

  await eventually(() => session(name).status().state === "idle");
  for (const crash of [1, 2]) {
    claude.fake.running[0]?.crash();
    await eventually(() => session(name).status().restarts === crash);
    if (crash === 1) await eventually(() => session(name).status().state === "idle");
  }
  // The second restart of a series is delayed by 100 ms.
  expect(session(name).status()).toMatchObject({ state: "restarting", retryAt: clock.now() + 100 });
  await clock.advance(100);
  await eventually(() => session(name).status().state === "idle");
  await supervisor.stop();
  await expectNoLeaks({ fake: claude.fake });
});
