import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createSdkMcpServer, tool } from "@anthropic-ai/claude-agent-sdk";
import { expect, it } from "vitest";
import { Supervisor } from "../../src/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/* Checks the advice about ineffective options against the real Claude Code. */

const query = tool("query", "Queries", {}, async () => ({ content: [] }));

it("option advice: reports options that the real Claude Code ignores, and no others", async () => {
  await using api = await mockApi();
  await mkdir(join(api.cwd, "references"));
  const log: string[] = [];
  const [wrong, right] = [unique("wrong"), unique("right")];
  const mcpServers = { db: createSdkMcpServer({ name: "db", tools: [query] }) };
  await using supervisor = await Supervisor.start(
    [
      {
        name: wrong,
        model: "claude-sonet-5-5",
        allowedTools: ["Reed", "Bash(git *)", "mcp__db__qurey"],
        additionalDirectories: ["refrences"],
        mcpServers,
        requireMcpServers: true,
      },
      ...["sonnet", "opus[1m]", "claude-haiku-4-5", "claude-sonnet-4-5-20250929"].map((model) => ({
        name: [right, model] as const,
        model,
        allowedTools: ["Read", "Task"],
        additionalDirectories: ["references"],
      })),
    ],
    {
      journal: "memory",
      logger: { info: () => {}, warn: (line) => void log.push(line) },
      defaults: { env: api.env, cwd: api.cwd },
    },
  );
  expect(supervisor.notStarted).toEqual([]);
  const messages = log.filter((line) => line.startsWith("session"));
  expect(messages).toHaveLength(4);
  for (const advice of [
    `\`additionalDirectories\`: ${api.cwd}/refrences does not exist; Claude does not get it; did you mean \`${api.cwd}/references\`?`,
    '`allowedTools`: "Reed" has no effect: Claude Code has no such tool; did you mean `Read`?',
    '`allowedTools`: "mcp__db__qurey" has no effect: the MCP server "db" has no such tool; did you mean `mcp__db__query`?',
    '`model`: Claude Code does not know "claude-sonet-5-5"; turns fail if the API does not know it either; did you mean `claude-sonnet-5',
  ]) {
    expect(messages).toContainEqual(expect.stringContaining(`session "${wrong}": ${advice}`));
  }
});
