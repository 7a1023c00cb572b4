import { afterEach, beforeEach, expect, it } from "vitest";
import { query, Supervisor, session } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { commandOf, parentOf, processesWith } from "./processes.ts";

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

it("Session: hibernates after its idle timeout, and wakes with its conversation and its hooks", async () => {
  const name = unique();
  const asked: string[] = [];
  const hook = async (input: { readonly hook_event_name: string }): Promise<object> => {
    asked.push(input.hook_event_name);
    return {};
  };
  await using supervisor = await Supervisor.start([{ name, idleTimeout: "100ms" }], {
    journal: "memory",
    defaults: { env: api.env, cwd: api.cwd, hooks: { UserPromptSubmit: [{ hooks: [hook] }] } },
  });
  await query(name, "My number is 7.");
  const { pid, conversationId } = session(name).status();
  expect(processes()).toEqual([pid]);
  await asleep(name);
  expect(processes()).toEqual([]);
  expect(session(name).status()).toMatchObject({ state: "hibernated", conversationId, restarts: 0 });
  expect(session(name).status().pid).toBeUndefined();
  expect(await session(name).health()).toEqual({ status: "healthy" });
  const { text } = await query(name, "What did I just say?");
  expect(text).toBe("You just said: My number is 7.");
  expect(session(name).status()).toMatchObject({ conversationId, starts: 2, restarts: 0 });
  expect(asked).toEqual(["UserPromptSubmit", "UserPromptSubmit"]);
  await supervisor.stop();
  expect(processes()).toEqual([]);
});
