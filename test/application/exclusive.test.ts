import { randomUUID } from "node:crypto";
import { createSdkMcpServer, tool } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { z } from "zod";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";

function clock() {
  const now = tool("now", "Tells the time", { zone: z.string() }, async ({ zone }) => ({
    content: [{ type: "text" as const, text: `noon in ${zone}` }],
  }));
  return createSdkMcpServer({ name: "clock", tools: [now] });
}

test("mcpServers: rejects an in-process server that two sessions share, and starts nothing", async () => {
  const fake = fakeClaude();
  const shared = clock();
  const [a, b] = [unique("a"), unique("b")];
  const starting = Supervisor.start(
    [
      { name: a, mcpServers: { time: shared } },
      { name: b, mcpServers: { zeit: shared } },
    ],
    { defaults: { spawnClaudeCodeProcess: fake.spawn } },
  );
  const error = await failure(starting, "INVALID_OPTIONS");
  expect(error.details.problems[0]?.field).toBe("mcpServers.zeit");
  expect(error.message).toContain(a);
  expect(error.message).toContain(b);
  expect(fake.processes).toEqual([]);
  for (const name of [a, b]) await thrown(() => session(name), "SESSION_NOT_FOUND");
});

test("mcpServers: frees an in-process server when its session stops", async () => {
  const shared = clock();
  await using scene = await Scene.open({ session: { mcpServers: { time: shared } } });
  const name = unique("second");
  await failure(scene.supervisor.startSession({ name, mcpServers: { time: shared } }), "INVALID_OPTIONS");
  await scene.session.stop();
  await scene.supervisor.startSession({ name, mcpServers: { time: shared } });
});

test("mcpServers: an in-process server works after a crash and after restart()", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "die" && turn.index === 0) await turn.crash();
      await turn.callTool("time", "now", { zone: "Oslo" });
      await turn.text("told");
    },
    session: { mcpServers: { time: clock() } },
  });
  const tools = async (prompt: string) => {
    const turn = scene.session.stream(prompt);
    const results: unknown[] = [];
    for await (const message of turn) {
      if (message.type === "user") results.push(JSON.stringify(message.message.content));
    }
    return results.join();
  };
  expect(await tools("die")).toContain("noon in Oslo");
  await scene.session.restart();
  expect(await tools("again")).toContain("noon in Oslo");
  expect(scene.fake.processes).toHaveLength(3);
});

test("sessionId: rejects one id for two sessions", async () => {
  const fake = fakeClaude();
  const sessionId = randomUUID();
  const children = [
    { name: unique("a"), sessionId },
    { name: unique("b"), sessionId },
  ];
  const starting = Supervisor.start(children, { defaults: { spawnClaudeCodeProcess: fake.spawn } });
  expect((await failure(starting, "INVALID_OPTIONS")).details.problems[0]?.field).toBe("sessionId");
  expect(fake.processes).toEqual([]);
});

test("resume: rejects a conversation in use until its session stops; a fork may start", async () => {
  await using scene = await Scene.open();
  const { sessionId: resume } = await query(scene.name, "hi");
  const thief = unique("thief");
  await failure(scene.supervisor.startSession({ name: thief, resume }), "INVALID_OPTIONS");
  // A fork has a conversation of its own.
  const fork = await scene.supervisor.startSession({ name: thief, resume, forkSession: true });
  expect((await fork.query("ho")).sessionId).not.toBe(resume);
  await scene.session.stop();
  const heir = await scene.supervisor.startSession({ name: unique("heir"), resume });
  expect((await heir.query("back")).sessionId).toBe(resume);
});

test("resume: rejects the id that another session's `sessionId` has", async () => {
  const fake = fakeClaude();
  const id = randomUUID();
  const children = [
    { name: unique("a"), sessionId: id },
    { name: unique("b"), resume: id },
  ];
  const starting = Supervisor.start(children, { defaults: { spawnClaudeCodeProcess: fake.spawn } });
  await failure(starting, "INVALID_OPTIONS");
});
