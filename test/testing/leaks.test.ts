import { expect, test } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { expectNoLeaks, fakeClaude, SimulatedClock } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

test("expectNoLeaks: lists sessions, fake processes and timers that are left, and passes when none is", async () => {
  const fake = fakeClaude(() => {
    throw new Error("a mistake in the script");
  });
  const clock = new SimulatedClock();
  const supervisor = await Supervisor.start([{ name: unique() }], {
    name: "leaking",
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  const timer = clock.schedule(5, () => {});
  await expect(expectNoLeaks({ fake, clock })).rejects.toThrow(/leaking in state idle.*fake process.*1 timer/s);
  timer.cancel();
  await supervisor.stop();
  await expectNoLeaks({ fake, clock });
});

test("expectNoLeaks: rejects with an error of the fake's script", async () => {
  const name = unique();
  const fake = fakeClaude(() => {
    throw new Error("a mistake in the script");
  });
  const supervisor = await Supervisor.start([{ name, restart: "temporary" }], {
    journal: "memory",
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  await supervisor.query(name, "hi").catch(() => {});
  await supervisor.stop();
  await expect(expectNoLeaks({ fake })).rejects.toThrow("a mistake in the script");
});
