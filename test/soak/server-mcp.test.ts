import { join } from "node:path";
import type { McpServerConfig } from "@anthropic-ai/claude-agent-sdk";
import { expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { listen } from "../../src/server/index.ts";
import { mockApi } from "../../src/testing/index.ts";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

it.for(["http", "stdio"] as const)(
  "mcp: the real Claude Code asks other sessions through the server, over %s",
  {
    timeout: 120_000,
  },
  async (kind) => {
    await using api = await mockApi();
    const ask = "mcp__castellan__ask";
    api.reply("Delegate", { toolUses: [{ name: ask, input: { session: ["worker", 1], prompt: "Compute it." } }] });
    api.reply("Compute it.", { text: "The result is 42." });
    const supervisor = await Supervisor.start([], {
      journal: "memory",
      defaults: { env: api.env, cwd: api.cwd },
      name: "application",
    });
    await using _ = supervisor;
    await using server = await listen(supervisor, { tokens: false });
    const castellan: McpServerConfig =
      kind === "http"
        ? { type: "http", url: `${server.url}/mcp` }
        : { type: "stdio", command: process.execPath, args: [MAIN, "mcp", "--url", server.url] };
    await supervisor.startSession({ name: ["worker", 1] });
    await supervisor.startSession({
      name: "lead",
      mcpServers: { castellan },
      requireMcpServers: ["castellan"],
      allowedTools: [ask],
    });
    const lead = supervisor.session("lead");
    await lead.query("Delegate the work.");
    const servers = lead.status().mcpServers;
    expect(servers).toMatchObject([{ name: "castellan", status: "connected" }]);
    const turns = await supervisor.session(["worker", 1]).turns();
    expect(turns).toMatchObject([{ state: "completed", prompt: "Compute it.", origin: "caller" }]);
    // The answer has come back to the model.
    expect(JSON.stringify(api.lastRequest)).toContain("The result is 42.");
  },
);
