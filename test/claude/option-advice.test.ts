import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { McpServerStatus, ModelInfo, Options } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it, onTestFinished } from "vitest";
import { agentSdk } from "../../src/agent-sdk.ts";
import { adviceOn, builtInTools, modelAdvice, serverToolAdvice, toolAdvice } from "../../src/claude/option-advice.ts";

const db = { command: "db" };

const KNOWN = builtInTools(await agentSdk());

describe("toolAdvice", () => {
  it.each<[Options]>([
    [
      {
        allowedTools: [
          "Read",
          "Bash(git *)",
          "Task",
          "Agent(reviewer)",
          "KillShell",
          "WebFetch(domain:example.com)",
          "*",
          "mcp__*",
        ],
      },
    ],
    [{ tools: { type: "preset", preset: "claude_code" } }],
    [{ tools: [] }],
    [
      {
        allowedTools: ["mcp__db__query", "mcp__db", "mcp__db__*", "mcp__my_docs__ask"],
        mcpServers: { db, "my docs": db },
      },
    ],
    // Tools of files, agents and plugins are unknown here.
    [{ allowedTools: ["mcp__other__ask"], settingSources: ["project"] }],
    [{ allowedTools: ["mcp__other__ask"], plugins: [{ type: "local", path: "/p" }] }],
  ])("is empty for %j", (options) => {
    expect(toolAdvice(options, KNOWN)).toEqual([]);
  });

  it.each<[Options, string]>([
    [
      { allowedTools: ["Reed"] },
      '`allowedTools`: "Reed" has no effect: Claude Code has no such tool; did you mean `Read`',
    ],
    [
      { allowedTools: ["bash(git *)"] },
      '"bash(git *)" has no effect: Claude Code has no such tool; did you mean `Bash`',
    ],
    [
      { disallowedTools: ["Wrte"] },
      '`disallowedTools`: "Wrte" has no effect: Claude Code has no such tool; did you mean `Write`',
    ],
    [{ tools: ["Frobnicate"] }, '`tools`: "Frobnicate" has no effect: Claude Code has no such tool'],
    [
      { allowedTools: ["mcp__dbs__query"], mcpServers: { db } },
      "there is no such MCP server; did you mean `mcp__db__query`?",
    ],
    [{ allowedTools: ["mcp__db__query"] }, "there is no such MCP server"],
  ])("advises on %j", (options, words) => {
    expect(toolAdvice(options, KNOWN)).toEqual([expect.stringContaining(words)]);
  });
});

describe("serverToolAdvice", () => {
  const servers: McpServerStatus[] = [
    { name: "my db", status: "connected", tools: [{ name: "query" }, { name: "get.all" }] },
    { name: "away", status: "failed" },
  ];

  it("reports a tool that a connected server lacks", () => {
    const allowedTools = [
      "mcp__my_db__qurey",
      "mcp__my_db__query",
      "mcp__my_db__get_all",
      "mcp__my_db__*",
      "mcp__away__x",
    ];
    expect(serverToolAdvice({ allowedTools }, servers)).toEqual([
      '`allowedTools`: "mcp__my_db__qurey" has no effect: the MCP server "my db" has no such tool; did you mean `mcp__my_db__query`?',
    ]);
  });
});

describe("modelAdvice", () => {
  const known: ModelInfo[] = [
    { value: "sonnet", resolvedModel: "claude-sonnet-5-5", displayName: "Sonnet", description: "" },
    { value: "claude-haiku-4-5", resolvedModel: "claude-haiku-4-5", displayName: "Haiku 4.5", description: "" },
  ];

  it("reports a model that Claude Code has no name for, with a suggestion", () => {
    const model = "claude-sonet-5-5";
    const listed = { value: model, resolvedModel: model, displayName: model, description: "" };
    expect(modelAdvice(model, [...known, listed])).toEqual([
      '`model`: Claude Code does not know "claude-sonet-5-5"; turns fail if the API does not know it either; did you mean `claude-sonnet-5-5`?',
    ]);
  });

  it.each([["sonnet"], ["claude-haiku-4-5"], ["claude-sonnet-5-5"], [undefined]])("is empty for %s", (model) => {
    expect(modelAdvice(model, known)).toEqual([]);
  });
});

describe("adviceOn", () => {
  it("reports missing directories, with suggestions", async () => {
    const root = await mkdtemp(join(tmpdir(), "castellan-advice-"));
    onTestFinished(() => rm(root, { recursive: true }));
    await mkdir(join(root, "references"));
    await writeFile(join(root, "file"), "");
    const additionalDirectories = ["references", join(root, "references"), "refrences", "file", "/nowhere/at/all"];
    expect(await adviceOn({ cwd: root, additionalDirectories }, [])).toEqual([
      `\`additionalDirectories\`: ${root}/refrences does not exist; Claude does not get it; did you mean \`${root}/references\`?`,
      `\`additionalDirectories\`: ${root}/file is not a directory; Claude does not get it`,
      "`additionalDirectories`: /nowhere/at/all does not exist; Claude does not get it",
    ]);
  });
});
