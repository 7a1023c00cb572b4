import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSdkMcpServer, tool } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test.each(["a restart", "a crash"])("setModel(), setPermissionMode(): apply at once, also after %s", async (how) => {
  await using scene = await Scene.open({ session: { model: "claude-haiku-4-5" } });
  await scene.session.setModel("claude-opus-5-5");
  await scene.session.setPermissionMode("acceptEdits");
  expect(scene.fake.processes[0]).toMatchObject({ model: "claude-opus-5-5", permissionMode: "acceptEdits" });
  if (how === "a crash") scene.fake.processes[0]?.crash();
  else await scene.session.restart();
  await query(scene.name, "hi");
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.fake.processes[1]).toMatchObject({ model: "claude-opus-5-5", permissionMode: "acceptEdits" });
});

test("setModel(): does not keep a change that its process never acknowledged", async () => {
  await using scene = await Scene.open({ session: { model: "claude-haiku-4-5" } });
  const changing = scene.session.setModel("claude-opus-5-5");
  scene.fake.processes[0]?.kill("SIGKILL");
  await failure(changing, "CONTROL_FAILED");
  await query(scene.name, "hi");
  expect(scene.fake.processes[1]?.model).toBe("claude-haiku-4-5");
});

test("Controls: return commands, agents, models, account, context usage and the result of rewindFiles()", async () => {
  await using scene = await Scene.open({
    session: { agents: { scribe: { description: "writes things down", prompt: "Write." } } },
  });
  const { session } = scene;
  await query(scene.name, "hello there");
  expect((await session.supportedCommands()).map(({ name }) => name)).toContain("compact");
  expect((await session.supportedAgents()).map(({ name }) => name)).toContain("scribe");
  expect((await session.supportedModels()).map(({ value }) => value)).toEqual(["default"]);
  expect(await session.accountInfo()).toMatchObject({ apiProvider: "firstParty" });
  const usage = await session.contextUsage();
  expect(usage.totalTokens).toBeGreaterThan(0);
  expect(usage.maxTokens).toBeGreaterThan(usage.totalTokens);
  expect((await session.rewindFiles(randomUUID(), { dryRun: true })).canRewind).toBe(false);
  await session.stopTask("task");
});

test("setMcpServers(): replaces in-process servers, keeps those of the options, and persists over a restart", async () => {
  const server = (name: string) =>
    createSdkMcpServer({
      name,
      tools: [tool("ping", "Answers", {}, async () => ({ content: [{ type: "text", text: name }] }))],
    });
  await using scene = await Scene.open({
    session: {
      mcpServers: { own: server("own"), docs: { type: "http", url: "http://127.0.0.1:9/docs" } },
    },
    script: async (turn) => {
      const { content } = await turn.callTool("later", "ping", {});
      await turn.text(JSON.stringify(content));
    },
  });
  const { session } = scene;
  expect((await session.mcpStatus()).map(({ name, status }) => [name, status])).toEqual([
    ["own", "connected"],
    ["docs", "connected"],
  ]);
  await session.reconnectMcpServer("docs");
  await session.toggleMcpServer("docs", false);
  await session.setMcpServers({ later: server("later"), web: { type: "http", url: "http://127.0.0.1:9/web" } });
  await session.restart();
  // The in-process server of the options is replaced; its HTTP server stays.
  expect((await session.mcpStatus()).map(({ name }) => name)).toEqual(["later", "docs", "web"]);
  expect(JSON.stringify([scene.fake.processes[1]?.args, scene.fake.processes[1]?.initialize])).toMatch(
    /docs.*web|web.*docs/,
  );
  expect((await query(scene.name, "ping")).text).toContain("later");
  await session.setMcpServers({});
  await session.restart();
  const [, , last] = scene.fake.processes;
  expect(JSON.stringify([last?.args, last?.initialize])).toContain("/docs");
  expect(JSON.stringify([last?.args, last?.initialize])).not.toContain("/web");
});

test("Controls: wait for a process that is starting", async () => {
  const up = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? up.promise : undefined) } });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.fake.processes.length === 2);
  const changed = scene.session.setModel("claude-opus-5-5");
  up.resolve();
  await changed;
  expect(scene.fake.processes[1]?.model).toBe("claude-opus-5-5");
});

test("Controls: reject with CONTROL_TIMEOUT when no process starts in time, and the session continues", async () => {
  const clock = new SimulatedClock();
  const up = Promise.withResolvers<void>();
  await using scene = await Scene.open({ clock, fake: { startup: (_, n) => (n === 2 ? up.promise : undefined) } });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.fake.processes.length === 2);
  const waiting = failure(scene.session.mcpStatus(), "CONTROL_TIMEOUT");
  await clock.advance(10_000);
  await waiting;
  up.resolve();
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
});

test("Controls: reject with CONTROL_TIMEOUT after ten seconds of a frozen process, which keeps running", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  scene.fake.processes[0]?.freeze();
  const controls = [
    failure(scene.session.contextUsage(), "CONTROL_TIMEOUT"),
    failure(scene.session.setModel("claude-opus-5-5"), "CONTROL_TIMEOUT"),
    failure(scene.session.mcpStatus(), "CONTROL_TIMEOUT"),
  ];
  await clock.advance(9_999);
  expect(scene.session.status().state).toBe("idle");
  await clock.advance(1);
  await Promise.all(controls);
  expect(scene.session.status()).toMatchObject({ state: "idle", restarts: 0, starts: 1 });
  scene.fake.processes[0]?.thaw();
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
  expect(scene.fake.processes).toHaveLength(1);
});

test("Controls: do not wait for the end of a running turn", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: () => open.promise });
  const turn = query(scene.name, "hi");
  await scene.fake.prompted(1);
  expect(await scene.session.mcpStatus()).toEqual([]);
  expect(scene.session.status().state).toBe("busy");
  open.resolve();
  await turn;
});

test("Controls: reject with CONTROL_FAILED when the process dies, and the session continues", async () => {
  await using scene = await Scene.open();
  scene.fake.processes[0]?.freeze();
  const asked = failure(scene.session.contextUsage(), "CONTROL_FAILED");
  scene.fake.processes[0]?.kill("SIGKILL");
  await asked;
  expect((await query(scene.name, "hi")).text).toBe("You said: hi");
});

test("Controls: reject with the reason why the session has no process", async () => {
  const bad = unique("bad");
  await using scene = await Scene.open({
    children: [{ name: unique() }, { name: bad, cwd: "/" }],
    fake: {
      startup: (process) => {
        if (process.cwd === "/") process.failStart("this cannot be", "cwd_unavailable");
      },
    },
  });
  const quarantined = scene.supervisor.session(bad);
  const controls = (session: typeof quarantined) => [
    session.setModel("m"),
    session.setPermissionMode("plan"),
    session.mcpStatus(),
    session.reconnectMcpServer("m"),
    session.toggleMcpServer("m", true),
    session.setMcpServers({}),
    session.contextUsage(),
    session.rewindFiles("u"),
    session.stopTask("t"),
    session.supportedCommands(),
    session.supportedModels(),
    session.supportedAgents(),
    session.accountInfo(),
  ];
  await Promise.all(controls(quarantined).map((control) => failure(control, "SESSION_QUARANTINED")));
  const { session } = scene;
  await session.stop();
  await Promise.all(controls(session).map((control) => failure(control, "SESSION_STOPPED")));
  await scene.supervisor.stop();
  await Promise.all(controls(quarantined).map((control) => failure(control, "SUPERVISOR_STOPPED")));
});

test("session.clear(): forgets the conversation for good, also over a crash", async () => {
  await using scene = await Scene.open({ script: count });
  const before = await query(scene.name, "secret");
  await scene.session.clear();
  const after = await query(scene.name, "what did I say?");
  expect(after.text).toBe("0");
  expect(after.sessionId).not.toBe(before.sessionId);
  scene.fake.running[0]?.crash();
  expect(await query(scene.name, "and now?")).toMatchObject({ text: "2", sessionId: after.sessionId });
  expect(scene.session.status().restarts).toBe(1);
});

test("session.fork(): starts with the session's conversation, and then diverges", async () => {
  await using scene = await Scene.open({ script: count, session: { model: "claude-haiku-4-5" } });
  await query(scene.name, "one");
  const fork = await scene.session.fork(unique("fork"), { maxTurns: 3 });
  expect((await fork.query("two")).text).toBe("2");
  expect((await fork.query("three")).text).toBe("4");
  expect((await query(scene.name, "here")).text).toBe("2");
  expect(scene.fake.processes[1]?.model).toBe("claude-haiku-4-5");
  expect(fork.status().conversationId).not.toBe(scene.session.status().conversationId);
});

test("session.fork(): leaves out the turn that is running", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt !== "long") return count(turn);
      await turn.partial("…");
      await turn.hang();
    },
  });
  await query(scene.name, "one");
  const long = stream(scene.name, "long");
  for await (const _ of long.text()) break;
  const fork = await scene.session.fork(unique("fork"));
  expect((await fork.query("two")).text).toBe("2");
  expect(scene.transcript(fork)).not.toContain("user: long");
  await long.interrupt();
});

test("session.fork(): of an empty or cleared session is empty", async () => {
  await using scene = await Scene.open({ script: count });
  expect((await (await scene.session.fork(unique("empty"))).query("hi")).text).toBe("0");
  await query(scene.name, "one");
  await scene.session.clear();
  expect((await (await scene.session.fork(unique("cleared"))).query("hi")).text).toBe("0");
});

test("session.fork(): rejects a name in use and a stopped session", async () => {
  await using scene = await Scene.open();
  await failure(scene.session.fork(scene.name), "SESSION_ALREADY_STARTED");
  const { session } = scene;
  await session.stop();
  await failure(session.fork(unique()), "SESSION_STOPPED");
});

/** Writes a transcript as Claude Code does, into temporary directories. */
async function transcriptOf(id: string, said: readonly string[]) {
  const config = await mkdtemp(join(tmpdir(), "castellan-history-"));
  const cwd = await mkdtemp(join(tmpdir(), "castellan-cwd-"));
  const folder = join(config, "projects", cwd.replace(/[^a-zA-Z0-9]/g, "-"));
  await mkdir(folder, { recursive: true });
  let parentUuid: string | null = null;
  const lines = said.map((text, n) => {
    const uuid = randomUUID();
    const type = n % 2 === 0 ? "user" : "assistant";
    const content = type === "user" ? text : [{ type: "text", text }];
    const line = JSON.stringify({
      type,
      uuid,
      parentUuid,
      sessionId: id,
      isSidechain: false,
      cwd,
      message: { role: type, content },
      timestamp: new Date(n).toISOString(),
    });
    parentUuid = uuid;
    return line;
  });
  // A killed process leaves half a line.
  await writeFile(join(folder, `${id}.jsonl`), `${lines.join("\n")}\n{"type":"us`);
  const remove = async () => {
    for (const directory of [config, cwd]) await rm(directory, { recursive: true });
  };
  return { env: { CLAUDE_CONFIG_DIR: config }, cwd, [Symbol.asyncDispose]: remove };
}

test("session.transcript(): reads the transcript in pages where the session's process writes it, and needs no process", async () => {
  const sessionId = randomUUID();
  await using files = await transcriptOf(sessionId, ["one", "first", "two", "second"]);
  const { env, cwd } = files;
  await using scene = await Scene.open({ session: { sessionId, env, cwd } });
  const said = async (options = {}) =>
    (await scene.session.transcript(options)).map(({ type, message }) => `${type}: ${JSON.stringify(message)}`);
  const all = await said();
  expect(all.map((line) => line.slice(0, 5))).toEqual(["user:", "assis", "user:", "assis"]);
  expect(all[3]).toContain("second");
  expect(await said({ limit: 2 })).toEqual(all.slice(0, 2));
  expect(await said({ limit: 2, offset: 1 })).toEqual(all.slice(1, 3));
  expect(await said({ offset: 3 })).toEqual(all.slice(3));
  expect(await said({ offset: 9 })).toEqual([]);
  const { session } = scene;
  await session.stop();
  expect(await session.transcript()).toHaveLength(4);
});

test("session.transcript(): is empty before the first turn", async () => {
  await using scene = await Scene.open();
  expect(await scene.session.transcript()).toEqual([]);
});
