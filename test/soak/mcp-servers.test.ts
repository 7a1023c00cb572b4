import { join } from "node:path";
import type { McpServerConfig } from "@anthropic-ai/claude-agent-sdk";
import { expect, it } from "vitest";
import { type Session, type SessionEvent, type SessionFault, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";
import { unique } from "../session-on-fake/scene.ts";

/* Faults of MCP servers that are absent, die or never answer, with the real Claude Code and real servers. */

const SCRIPT = join(import.meta.dirname, "failing-mcp-server.ts");
const ABSENT: McpServerConfig = { type: "stdio", command: "/nowhere/server" };
const REFUSED: McpServerConfig = { type: "http", url: "http://127.0.0.1:9/mcp" };

function server(mode: string, tag: string, env: Record<string, string> = {}): McpServerConfig {
  return { type: "stdio", command: process.execPath, args: [SCRIPT, mode, tag], env };
}

async function open(api: MessagesApi, options: object): Promise<{ supervisor: Supervisor; session: Session }> {
  const name = unique();
  const supervisor = await Supervisor.start([{ name, ...options }], {
    journal: "memory",
    logger: { info: () => {}, warn: () => {} },
    defaults: { env: api.env, cwd: api.cwd },
  });
  return { supervisor, session: supervisor.session(name) };
}

/** Returns the existing or next fault of this server whose message contains the words. */
async function faultOf(session: Session, name: string, words: string): Promise<SessionFault> {
  const says = (fault: SessionFault): boolean => fault.server === name && fault.message.includes(words);
  const events: AsyncIterable<SessionEvent> = session.events();
  const known = session.status().faults.find(says);
  if (known !== undefined) return known;
  for await (const event of events) if (event.type === "fault" && says(event.fault)) return event.fault;
  throw new Error("the session has ended");
}

it("mcp_server_failed: is reported for servers that are absent, refuse or exit, with their last output", async () => {
  await using api = await messagesApi();
  const tag = unique();
  const { supervisor, session } = await open(api, {
    mcpServers: {
      absent: ABSENT,
      refused: REFUSED,
      falls: server("exit", tag, { SERVER_KEY: "very-secret-key" }),
      good: server("serve", tag),
    },
  });
  await using _ = supervisor;
  const faults = await Promise.all([
    faultOf(session, "absent", "ENOENT"),
    faultOf(session, "refused", "ECONNREFUSED"),
    faultOf(session, "falls", "its last output: DATABASE_URL is not set, the key is [hidden]"),
  ]);
  const health = await session.health();
  expect(health.status).toBe("degraded");
  for (const { kind, message } of faults) {
    expect(kind).toBe("mcp_server_failed");
    expect(health).toMatchObject({ reason: expect.stringContaining(message) });
  }
  expect(session.status().mcpServers).toContainEqual({ name: "good", status: "connected" });
  expect(session.status().faults).toHaveLength(3);
  expect((await supervisor.health()).status).toBe("degraded");
  expect((await session.query("hi")).text).toBe("You said: hi");
});

it("mcp_server_failed: is reported for a server that dies while idle, until a tool call reconnects it", async () => {
  await using api = await messagesApi(({ raw }) =>
    raw.includes("call it") && !raw.includes("tool_result")
      ? { toolUses: [{ name: "mcp__db__ping", input: {} }] }
      : { text: "done" },
  );
  const tag = unique();
  const { supervisor, session } = await open(api, {
    mcpServers: { db: server("serve", tag) },
    allowedTools: ["mcp__db__ping"],
    requireMcpServers: true,
  });
  await using _ = supervisor;
  expect(await session.health()).toEqual({ status: "healthy" });
  const [pid] = processesWith(tag);
  if (pid === undefined) throw new Error("no server");
  process.kill(pid, "SIGUSR2");
  await faultOf(session, "db", "it has exited");
  expect(await session.health()).toMatchObject({ status: "degraded" });
  await session.query("call it");
  expect(processesWith(tag)).not.toContain(pid);
  // Claude Code logs the connection a moment later.
  await expect.poll(async () => (await session.health()).status, { timeout: 15_000 }).toBe("healthy");
  expect(session.status().faults).toEqual([]);
});

it("mcp_server_failed: is reported for a server that has not answered for ten seconds", async () => {
  await using api = await messagesApi();
  const { supervisor, session } = await open(api, { mcpServers: { hangs: server("hang", unique()) } });
  await using _ = supervisor;
  const since = performance.now();
  await faultOf(session, "hangs", "has not answered for 10s");
  expect(performance.now() - since).toBeLessThan(20_000);
  expect((await session.health()).status).toBe("degraded");
});

it("requireMcpServers: connects the server before the start ends, with its tools in the first turn", async () => {
  await using api = await messagesApi();
  const { supervisor, session } = await open(api, {
    mcpServers: { db: { ...server("serve", unique()), alwaysLoad: true }, absent: ABSENT },
    requireMcpServers: ["db"],
  });
  await using _ = supervisor;
  expect(supervisor.notStarted).toEqual([]);
  expect((await session.mcpStatus()).find(({ name }) => name === "db")?.status).toBe("connected");
  await session.query("hi");
  expect(api.lastRequest?.body.tools?.map((tool) => tool.name)).toContain("mcp__db__ping");
});

it("requireMcpServers: fails the start with the reason when a server is absent, exits or never answers", async () => {
  await using api = await messagesApi();
  const tag = unique();
  const servers = { absent: ABSENT, falls: server("exit", tag), hangs: server("hang", tag) };
  const children = Object.entries(servers).map(([name, config]) => ({
    name: unique(name),
    mcpServers: { [name]: config },
    requireMcpServers: true,
  }));
  await using supervisor = await Supervisor.start(children, {
    journal: "memory",
    maxRestarts: 0,
    logger: { info: () => {}, warn: () => {} },
    defaults: { env: api.env, cwd: api.cwd },
  });
  expect(supervisor.notStarted.map(({ error }) => error.message)).toEqual([
    expect.stringMatching(/the required MCP server "absent": .*ENOENT/),
    expect.stringMatching(/the required MCP server "falls": .*DATABASE_URL is not set/),
    expect.stringMatching(/the required MCP server "hangs": .*timed out after 30000ms/),
  ]);
  expect(supervisor.readyz().ok).toBe(false);
  // Every started process has ended.
  expect(processesWith(tag)).toEqual([]);
}, 90_000);
