import { expect, it } from "vitest";
import { type CapacityStatus, query, Supervisor, session, template, touch } from "../../src/index.ts";
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

it("a template has a spare by default, and touch() starts a session on it and wakes a hibernated one", async () => {
  const api = await mockApi();
  const name = unique("family");
  await using supervisor = await Supervisor.start([template(name, { idleTimeout: "1h" })], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  await eventually(() => supervisor.capacity().spares.ready === 1);
  // Nobody has named it so far.
  expect(await touch([name, 1])).toBe("starting");
  await eventually(() => session([name, 1]).status().state === "idle");
  expect(supervisor.capacity().spares).toMatchObject({ hits: 1, misses: {} });
  const { pid } = session([name, 1]).status();
  expect((await query([name, 1], "My number is 1.")).text).toBe("You said: My number is 1.");
  expect(session([name, 1]).status()).toMatchObject({ pid, starts: 1 });
  await session([name, 1]).hibernate();
  expect(await Promise.all([touch([name, 1]), touch([name, 1])])).toEqual(["starting", "starting"]);
  await eventually(() => session([name, 1]).status().state === "idle");
  expect(await touch([name, 1])).toBe("ready");
  const began = performance.now();
  expect((await query([name, 1], "What did I just say?")).text).toBe("You just said: My number is 1.");
  console.log(`answer of a touched session: ${Math.round(performance.now() - began)} ms`);
  expect(session([name, 1]).status()).toMatchObject({ starts: 2, restarts: 0 });
  await eventually(() => supervisor.capacity().spares.ready === 1);
  await supervisor.stop();
  expect(processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`)).toEqual([]);
  await api.stop();
});
