import { expect, it, vi } from "vitest";
import { pool, Supervisor } from "../../src/index.ts";
import { messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

it("Pool: returns to its size after more crashes than its members may have", { timeout: 120_000 }, async () => {
  await using api = await messagesApi();
  const name = unique("pool");
  await using supervisor = await Supervisor.start([pool(name, { size: 2, activation: "eager" })], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const status = () => supervisor.pool(name).status();
  const members = () => supervisor.listSessions();
  await vi.waitUntil(() => status().idle === 2, { timeout: 60_000 });

  // Until the maximum is quarantined and no member is left.
  const killed = new Set<number>();
  await vi.waitUntil(
    () => {
      for (const { pid } of members()) {
        if (pid === undefined || killed.has(pid)) continue;
        killed.add(pid);
        process.kill(pid, "SIGKILL");
      }
      return members().filter(({ state }) => state === "quarantined").length >= 2 && status().size < 2;
    },
    { timeout: 60_000, interval: 20 },
  );
  expect(killed.size).toBeGreaterThanOrEqual(8);
  expect((await supervisor.health()).details.map((one) => one.name)).toContainEqual(name);

  expect((await supervisor.query(name, "hello")).text).toBe("You said: hello");
  await vi.waitUntil(() => status().size === 2, { timeout: 60_000 });
  expect(status().shortfall).toBeUndefined();
});
