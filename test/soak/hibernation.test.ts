import { afterEach, beforeEach, expect, it } from "vitest";
import { query, Supervisor, session } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { commandOf, parentOf, processesWith } from "../real/processes.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

/** Returns the pids of the Claude Code processes of this test's sessions. */
const processes = (): number[] => processesWith(`CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`).filter(isClaude);

/** A child of Claude Code has the same command line until its exec, so the parent decides. */
const isClaude = (pid: number): boolean => commandOf(pid).includes("--input-format") && parentOf(pid) === process.pid;

async function asleep(name: string): Promise<void> {
  for await (const event of session(name).events()) if (event.type === "exit") return;
}

it("hibernation: keeps a fork's turns out of the conversation that wakes", async () => {
  const [name, fork] = [unique(), unique("fork")];
  await using _ = await Supervisor.start([{ name }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  await query(name, "first");
  await (await session(name).fork(fork)).query("in the fork");
  await session(fork).hibernate();
  await session(name).hibernate();
  await session(name).hibernate();
  expect((await query(fork, "What did I just say?")).text).toBe("You just said: in the fork");
  expect((await query(name, "What did I just say?")).text).toBe("You just said: first");
});

it("capacity.maxProcesses: is never exceeded, and all sessions answer", async () => {
  const names = Array.from({ length: 4 }, () => unique());
  await using supervisor = await Supervisor.start(
    names.map((name) => ({ name })),
    { journal: "memory", capacity: { maxProcesses: 2 }, defaults: { env: api.env, cwd: api.cwd } },
  );
  let most = processes().length;
  // A surplus process would still exist when another one is ready.
  const watches = names.map(async (name) => {
    for await (const _ of session(name).events()) most = Math.max(most, processes().length);
  });
  await Promise.all(names.map((name, at) => query(name, `My number is ${at}.`)));
  const replies = await Promise.all(names.map((name) => query(name, "What did I just say?")));
  expect(replies.map(({ text }) => text)).toEqual(names.map((_, at) => `You just said: My number is ${at}.`));
  expect(supervisor.listSessions().filter(({ pid }) => pid !== undefined).length).toBeLessThanOrEqual(2);
  await supervisor.stop();
  await Promise.all(watches);
  expect(most).toBe(2);
});

it("maxMemory: replaces the process between turns, with its conversation", async () => {
  const name = unique();
  await using _ = await Supervisor.start([{ name, maxMemory: "40MB" }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd },
  });
  const events = session(name).events();
  await query(name, "My number is 7.");
  const { pid, conversationId } = session(name).status();
  for await (const event of events) if (event.type === "exit") break;
  expect((await query(name, "What did I just say?")).text).toBe("You just said: My number is 7.");
  const status = session(name).status();
  expect(status).toMatchObject({ conversationId, starts: 2, restarts: 0 });
  expect(status.pid).not.toBe(pid);
});

it("capacity.memoryBudget: hibernates the session that was idle longest when all sessions exceed it", async () => {
  const [first, second] = [unique("first"), unique("second")];
  await using supervisor = await Supervisor.start([{ name: first }, { name: second }], {
    journal: "memory",
    capacity: { memoryBudget: "201MB" },
    defaults: { env: api.env, cwd: api.cwd },
  });
  for (const name of [first, second]) await query(name, `I am ${name}.`);
  // Measured every ten seconds. Each session uses more than half of the budget.
  await asleep(first);
  expect(supervisor.capacity().processes).toBe(1);
  expect(session(second).status().memoryBytes).toBeGreaterThan(50 * 2 ** 20);
  expect((await query(first, "What did I just say?")).text).toBe(`You just said: I am ${first}.`);
});
