import type { Options } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { contradictions, sdkOptionsShape } from "../../src/claude/sdk-options.ts";

const ID = "8c0a4d0e-0000-4000-8000-000000000000";
const OTHER_ID = "8c0a4d0e-0000-4000-8000-000000000001";

type Checked = keyof typeof sdkOptionsShape;

function takes(field: Checked, value: unknown): boolean {
  return sdkOptionsShape[field].safeParse(value).success;
}

class Store {
  async append(): Promise<void> {}
  async load(): Promise<null> {
    return null;
  }
}

describe("sdkOptionsShape, accepts", () => {
  it.each<[Checked, unknown]>([
    ["env", process.env],
    ["env", { A: "1", B: undefined }],
    ["systemPrompt", ""],
    ["systemPrompt", ["one", "two"]],
    ["systemPrompt", { type: "preset", preset: "claude_code", append: "more" }],
    ["systemPrompt", { type: "custom", prompt: "You review" }],
    ["tools", []],
    ["tools", ["Read"]],
    ["tools", { type: "preset", preset: "claude_code" }],
    ["skills", "all"],
    ["skills", ["verify"]],
    ["settings", "/etc/settings.json"],
    ["settings", { model: "claude-haiku-4-5" }],
    ["settingSources", []],
    ["settingSources", ["user", "project", "local"]],
    ["mcpServers", { files: { command: "npx", args: ["files"] }, web: { type: "http", url: "http://localhost" } }],
    ["mcpServers", { own: { type: "sdk", name: "own", instance: new Store() } }],
    ["sessionStore", new Store()],
    ["hooks", { PreToolUse: [{ matcher: "Bash", hooks: [async () => ({})] }] }],
    ["extraArgs", { verbose: null, "debug-to": "file" }],
    ["resume", ID],
    ["thinking", { type: "enabled", budgetTokens: 1000 }],
    ["maxThinkingTokens", 0],
    ["outputFormat", { type: "json_schema", schema: { type: "object" } }],
    ["agents", { reviewer: { description: "reviews", prompt: "You review", tools: ["Read"] } }],
    ["plugins", [{ type: "local", path: "./plugin" }]],
  ])("%s: %o", (field, value) => {
    expect(takes(field, value)).toBe(true);
  });
});

describe("sdkOptionsShape, rejects", () => {
  it.each<[Checked, unknown]>([
    ["env", { A: 1 }],
    ["env", ["A=1"]],
    ["env", "A=1"],
    ["cwd", ""],
    ["cwd", 7],
    ["model", ""],
    ["allowedTools", "Read"],
    ["allowedTools", [1]],
    ["maxTurns", 0],
    ["maxTurns", -1],
    ["maxTurns", 1.5],
    ["maxTurns", "3"],
    ["permissionMode", "yolo"],
    ["permissionPrompts", "all"],
    ["settingSources", ["everything"]],
    ["resume", "last"],
    ["sessionId", 1],
    ["hooks", { PreToolUse: [{ hooks: ["rm -rf"] }] }],
    ["hooks", { PreToolUse: { hooks: [] } }],
    ["canUseTool", true],
    ["mcpServers", []],
    ["mcpServers", { a: "npx" }],
    ["thinking", { type: "sometimes" }],
    ["effort", "extreme"],
    ["outputFormat", { type: "json" }],
    ["systemPrompt", 7],
    ["systemPrompt", { preset: "claude_code" }],
    ["plugins", ["./plugin"]],
    ["abortController", new AbortController().signal],
    ["includePartialMessages", "yes"],
    ["sessionStore", { append: true }],
    ["agents", { reviewer: { prompt: "no description" } }],
  ])("%s: %o", (field, value) => {
    expect(takes(field, value)).toBe(false);
  });
});

describe("contradictions", () => {
  const canUseTool: NonNullable<Options["canUseTool"]> = async () => ({ behavior: "deny", message: "no" });

  it.each<[string, Options]>([
    ["no options", {}],
    [
      "an allowed bypass of permissions",
      { permissionMode: "bypassPermissions", allowDangerouslySkipPermissions: true },
    ],
    ["a callback with host prompts", { canUseTool, permissionPrompts: "host" }],
    ["a permission tool", { permissionPromptToolName: "mcp__a__ask" }],
    ["no permission prompts", { permissionPrompts: "none" }],
    ["a conversation to resume", { resume: ID }],
    ["a conversation to resume at a message", { resume: ID, resumeSessionAt: OTHER_ID }],
    ["a fork with an id", { resume: ID, forkSession: true, sessionId: OTHER_ID }],
    ["the id of a new conversation", { sessionId: ID }],
    ["forkSession: false", { forkSession: false }],
    ["the application's own flags", { extraArgs: { "max-old-space-size": "1000" } }],
    ["no dialogs", { supportedDialogKinds: [] }],
    ["the application's own settings", { settings: { model: "haiku" } }],
  ])("is empty for %s", (_, options) => {
    expect(contradictions(options)).toEqual([]);
  });

  it.each<[string, Options]>([
    ["permissionMode", { permissionMode: "bypassPermissions" }],
    ["permissionMode", { permissionMode: "bypassPermissions", allowDangerouslySkipPermissions: false }],
    ["permissionPrompts", { permissionPrompts: "none", canUseTool }],
    ["permissionPromptToolName", { permissionPromptToolName: "mcp__a__ask", canUseTool }],
    ["supportedDialogKinds", { supportedDialogKinds: ["question"] }],
    ["forkSession", { forkSession: true }],
    ["resumeSessionAt", { resumeSessionAt: ID }],
    ["sessionId", { resume: ID, sessionId: OTHER_ID }],
    ["settings.cleanupPeriodDays", { settings: { cleanupPeriodDays: 7 } }],
    ["extraArgs.resume", { extraArgs: { resume: ID } }],
    ["extraArgs.continue", { extraArgs: { continue: null } }],
    ["extraArgs.session-id", { extraArgs: { "session-id": ID } }],
    ["extraArgs.output-format", { extraArgs: { "output-format": "text" } }],
    ["extraArgs.max-budget-usd", { extraArgs: { "max-budget-usd": "1" } }],
  ])("reports %s in %o", (field, options) => {
    const found = contradictions(options);
    expect(found.map((problem) => problem.field)).toEqual([field]);
    expect(found[0]?.message).not.toBe("");
  });

  it("reports all of them at once", () => {
    const options: Options = { permissionMode: "bypassPermissions", forkSession: true, extraArgs: { print: null } };
    expect(contradictions(options).map(({ field }) => field)).toEqual([
      "permissionMode",
      "forkSession",
      "extraArgs.print",
    ]);
  });
});
