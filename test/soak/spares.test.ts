import { expect, it } from "vitest";
import { type CapacityStatus, query, Supervisor, session, template } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";
import { eventually, unique } from "../session-on-fake/scene.ts";

it("a spare of the real Claude Code: starts a conversation that other processes resume", async () => {
  const api = await mockApi();
  const name = unique("family");
  await using supervisor = await Supervisor.start([template(name, { idleTimeout: "1h" })], {
    journal: "memory",
    capacity: { spares: 1 },
    defaults: { env: api.env, cwd: api.cwd },
  });
  const capacity = (): CapacityStatus => supervisor.capacity();
  await eventually(() => capacity().spares.ready === 1);
  const took: number[] = [];
  for (const key of [1, 2]) {
    const began = performance.now();
    await query([name, key], `My number is ${key}.`);
    took.push(Math.round(performance.now() - began));
  }
  console.log(`first answer: ${took[0]} ms from a spare, ${took[1]} ms without`);
  expect(capacity().spares).toMatchObject({ hits: 1, misses: { none_ready: 1 } });
  const { pid = 0, conversationId } = session([name, 1]).status();
  process.kill(pid, "SIGKILL");
  const { text } = await query([name, 1], "What did I just say?");
  expect(text).toBe("You just said: My number is 1.");
  expect(session([name, 1]).status()).toMatchObject({ conversationId, restarts: 1 });
  await session([name, 1]).hibernate();
  expect((await query([name, 1], "What did I just say?")).text).toBe("You just said: What did I just say?");
  await eventually(() => capacity().spares.ready === 1);
  await supervisor.stop();
  expect(processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`)).toEqual([]);
  await api.stop();
});
