import type { Options, SpawnedProcess } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { type Launch, resolveApiKey, sdkOptions } from "../../src/claude/launch.ts";
import { MARKER } from "../../src/claude/marker.ts";

const host = { PATH: "/bin", ANTHROPIC_API_KEY: "sk-host", REVIEWER_KEY: "sk-reviewer", EMPTY: "" };

function spawn(): SpawnedProcess {
  throw new Error("no process starts in this test");
}

function launched(options: Options = {}, rest: Partial<Launch> = {}): Options {
  return sdkOptions(
    { options, conversation: { kind: "new", id: "conversation" }, ...rest },
    { marker: "marker", spawn },
    host,
  );
}

describe("sdkOptions", () => {
  it("reads no host settings, asks for no permission, streams, and keeps keys off the command line", () => {
    expect(launched()).toMatchObject({
      settingSources: [],
      permissionPrompts: "none",
      includePartialMessages: true,
      mcpServersDelivery: "initialize",
    });
  });

  it.each<[string, Options]>([
    ["settings of the machine", { settingSources: ["user"] }],
    ["settings of the project, besides its own", { settingSources: ["project"], settings: { model: "haiku" } }],
    ["a flag", { extraArgs: { "setting-sources": "user" } }],
  ])("keeps Claude Code from deleting conversations when it reads %s", (_, options) => {
    const own = typeof options.settings === "object" ? options.settings : {};
    expect(launched(options).settings).toEqual({ ...own, cleanupPeriodDays: 36_500 });
  });

  it("leaves a settings file unchanged, and inline settings of a session that reads no others", () => {
    expect(launched({ settingSources: ["user"], settings: "/settings.json" }).settings).toBe("/settings.json");
    expect(launched({ settings: { model: "haiku" } }).settings).toEqual({ model: "haiku" });
    expect(launched()).not.toHaveProperty("settings");
  });

  it("prefers the session's options to its defaults", () => {
    const own: Options = {
      settingSources: ["project"],
      permissionPrompts: "host",
      includePartialMessages: false,
      mcpServersDelivery: "argv",
      model: "claude-haiku-4-5",
      systemPrompt: "You review code",
      maxTurns: 3,
    };
    expect(launched(own)).toMatchObject(own);
  });

  it.each<[string, Options]>([
    ["canUseTool", { canUseTool: async () => ({ behavior: "deny", message: "no" }) }],
    ["permissionPromptToolName", { permissionPromptToolName: "mcp__approval__ask" }],
  ])("leaves permission prompts to %s", (_, options) => {
    expect(launched(options)).not.toHaveProperty("permissionPrompts");
  });

  it("passes objects and callbacks through", () => {
    const hooks = { Stop: [{ hooks: [async () => ({})] }] };
    const canUseTool = async (): Promise<{ behavior: "deny"; message: string }> => ({ behavior: "deny", message: "" });
    const options = launched({ hooks, canUseTool });
    expect(options.hooks).toBe(hooks);
    expect(options.canUseTool).toBe(canUseTool);
  });

  it("starts the requested conversation, not the session's first one", () => {
    const first: Options = { resume: "old", forkSession: true, sessionId: "first", resumeSessionAt: "message" };
    const options = launched(first, { conversation: { kind: "resume", id: "current" } });
    expect(options.resume).toBe("current");
    for (const gone of ["forkSession", "sessionId", "resumeSessionAt"]) expect(options).not.toHaveProperty(gone);
  });

  it("keeps control of the process's lifetime and error output", () => {
    const options = launched({
      abortController: new AbortController(),
      stderr: () => {},
      spawnClaudeCodeProcess: spawn,
    });
    expect(options).not.toHaveProperty("abortController");
    expect(options).not.toHaveProperty("stderr");
    expect(launched({ spawnClaudeCodeProcess: () => spawn() }).spawnClaudeCodeProcess).toBe(spawn);
  });

  it("builds the environment from the host's, the key, `inheritEnv`, and `env` last", () => {
    const plain = launched().env ?? {};
    expect(plain).toMatchObject({ PATH: "/bin", ANTHROPIC_API_KEY: "sk-host", [MARKER]: "marker" });
    expect(plain).not.toHaveProperty("REVIEWER_KEY");
    const env = { DEBUG: "1", PATH: undefined };
    const own = launched({ env }, { apiKey: { env: "REVIEWER_KEY" }, inheritEnv: ["EMPTY"] }).env ?? {};
    expect(own).toMatchObject({ ANTHROPIC_API_KEY: "sk-reviewer", EMPTY: "", DEBUG: "1", [MARKER]: "marker" });
    expect(own).not.toHaveProperty("PATH");
  });

  it("disables auto-memory, unless the session has it", () => {
    const name = "CLAUDE_CODE_DISABLE_AUTO_MEMORY";
    expect(launched().env).toHaveProperty(name, "1");
    expect(launched({}, { autoMemory: true }).env).not.toHaveProperty(name);
    expect(launched({ env: { [name]: "0" } }).env).toHaveProperty(name, "0");
    const request = { options: {}, conversation: { kind: "new", id: "c" } } as const;
    const remembering = sdkOptions({ ...request, autoMemory: true }, { marker: "", spawn }, { [name]: "1" });
    expect(remembering.env).not.toHaveProperty(name);
  });

  it("disables messages between sessions, unless the session accepts them", () => {
    const name = "CLAUDE_CODE_HARBOR_KITE";
    expect(launched().env).toHaveProperty(name, "0");
    expect(launched({ settings: { crossSessionInbound: "refuse" } }).env).toHaveProperty(name, "0");
    expect(launched({ settings: { crossSessionInbound: "accept" } }).env).not.toHaveProperty(name);
    expect(launched({ settings: { crossSessionInbound: "hold" } }).env).not.toHaveProperty(name);
    expect(launched({ settings: "/settings.json" }).env).toHaveProperty(name, "0");
  });

  it("confines a session to its own directory, and hides the repository around it", () => {
    const { settings, env } = launched(
      { settings: { model: "m" } },
      { ownDirectory: { root: "/all", path: "/all/own" }, autoMemory: true },
    );
    expect(settings).toMatchObject({
      model: "m",
      autoMemoryDirectory: "/all/own/.memory",
      permissions: { blockReadsOutsideWorkingDirectories: true, blockWritesOutsideWorkingDirectories: true },
    });
    expect(env).toMatchObject({ CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS: "1", GIT_CEILING_DIRECTORIES: "/all" });
    expect(launched()).not.toHaveProperty("settings");
    expect(launched({ settings: "/settings.json" })).toHaveProperty("settings", "/settings.json");
    expect(launched().env).not.toHaveProperty("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS");
  });

  it("always sets the marker", () => {
    expect(launched({ env: { [MARKER]: undefined } }).env).toHaveProperty(MARKER, "marker");
    expect(launched({ env: { [MARKER]: "another" } }).env).toHaveProperty(MARKER, "marker");
  });
});

describe("resolveApiKey", () => {
  it("returns a key as given, or from its variable", () => {
    expect(resolveApiKey("sk-own", host)).toBe("sk-own");
    expect(resolveApiKey({ env: "REVIEWER_KEY" }, host)).toBe("sk-reviewer");
  });

  it("returns undefined without a key, and for an empty or unset variable", () => {
    expect(resolveApiKey(undefined, host)).toBeUndefined();
    expect(resolveApiKey({ env: "EMPTY" }, host)).toBeUndefined();
    expect(resolveApiKey({ env: "UNHEARD_OF" }, host)).toBeUndefined();
  });
});
