import { query } from "castellan";
import { expect, test } from "vitest";
import { startAssistants, startTree } from "../../examples/static-sessions.ts";
import { onFake } from "./on-fake.ts";

test("static-sessions.ts: merges a session's options with the defaults", async () => {
  const { fake, options } = onFake();
  await using supervisor = await startAssistants(options);
  expect(supervisor.listSessions().map(({ name, state }) => [name, state])).toEqual([
    ["code-reviewer", "idle"],
    ["test-writer", "idle"],
    ["front-desk", "idle"],
  ]);
  for (const { args } of fake.processes) expect(args.join(" ")).toContain("--max-turns=5");
  expect(fake.processes[2]?.model).toBe("claude-haiku-4-5");
  const [first, second] = [query("front-desk", "one"), query("front-desk", "two")];
  await expect(second).rejects.toMatchObject({ code: "SESSION_BUSY" });
  expect(await first).toMatchObject({ text: "You said: one" });
});

test("static-sessions.ts: gives a nested supervisor its own strategy and defaults", async () => {
  const { fake, options } = onFake();
  await using supervisor = await startTree(options);
  expect(supervisor.countChildren()).toEqual({ specs: 2, active: 2, supervisors: 2, workers: 0 });
  const [planner, writer, tagger] = ["planner", "writer", "tagger"].map((name) => supervisor.session(name));
  expect(fake.processes.find(({ pid }) => pid === tagger?.status().pid)?.model).toBe("claude-haiku-4-5");
  const pids = [writer?.status().pid, tagger?.status().pid];
  fake.processes.find(({ pid }) => pid === planner?.status().pid)?.crash({ signal: "SIGKILL" });
  await fake.started(5);
  await Promise.all([query("planner", "hi"), query("writer", "hi")]);
  expect(writer?.status().pid).not.toBe(pids[0]);
  expect(tagger?.status().pid).toBe(pids[1]);
});
