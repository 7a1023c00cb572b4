import { mkdtemp, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSdkMcpServer, type Options } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { differencesOf, fingerprintOf, type Shape, spareMismatch } from "../../src/claude/fingerprint.ts";

const HOST = { PATH: "/bin", ANTHROPIC_API_KEY: "key" };
const of = (options: Options, rest: Omit<Shape, "options"> = {}, host: Record<string, string> = HOST) =>
  fingerprintOf({ options, ...rest }, host);

describe("fingerprintOf()", () => {
  it("is the same for equal options in any order", () => {
    const hook = async (): Promise<object> => ({});
    const one = of({
      model: "m",
      env: { A: "1", B: "2" },
      hooks: { Stop: [{ hooks: [hook] }] },
    });
    const other = of({ hooks: { Stop: [{ hooks: [hook] }] }, env: { B: "2", A: "1" }, model: "m" });
    expect(other.id).toBe(one.id);
    expect(differencesOf(one, other)).toEqual([]);
  });

  const plain = of({});
  const differing: [string | readonly string[], ReturnType<typeof of>][] = [
    ["cwd", of({ cwd: tmpdir() })],
    ["additionalDirectories", of({ additionalDirectories: ["/srv"] })],
    ["env", of({ env: { A: "1" } })],
    [["env", "apiKey"], of({}, { apiKey: "another" })],
    ["env", of({}, {}, { ...HOST, ANTHROPIC_API_KEY: "another" })],
    [["env", "inheritEnv"], of({}, { inheritEnv: true }, { ...HOST, OTHER: "1" })],
    ["approvals", of({}, { approvals: true })],
    ["model", of({ model: "m" })],
    ["systemPrompt", of({ systemPrompt: "s" })],
    ["allowedTools", of({ allowedTools: ["Read"] })],
    ["disallowedTools", of({ disallowedTools: ["Read"] })],
    ["tools", of({ tools: [] })],
    ["permissionMode", of({ permissionMode: "plan" })],
    ["sandbox", of({ sandbox: { enabled: true } })],
    ["mcpServers", of({ mcpServers: { a: { command: "a" } } })],
    ["extraArgs", of({ extraArgs: { a: null } })],
    ["stderr", of({ stderr: () => {} })],
    ["settings", of({ settings: { model: "m" } })],
  ];
  it.each(differing)("differs by %s", (field, other) => {
    expect(differencesOf(plain, other)).toEqual([field].flat());
    expect(other.id).not.toBe(plain.id);
  });

  it("tells functions apart, also those with equal source", () => {
    const hooks = (): Options => ({ hooks: { Stop: [{ hooks: [async () => ({})] }] } });
    expect(of(hooks()).id).not.toBe(of(hooks()).id);
  });

  it("tells apart values with equal text", () => {
    const pairs: [Options, Options][] = [
      [{ allowedTools: ["a", "b"] }, { allowedTools: ["a,b"] }],
      [{ allowedTools: ["a,string b"] }, { allowedTools: ["a", "b"] }],
      [{ env: { A: "1}", B: "" } }, { env: { A: "1", B: "}" } }],
      [{ extraArgs: { a: null } }, { extraArgs: { a: "null" } }],
      [{ systemPrompt: "1" }, { systemPrompt: ["1"] }],
    ];
    for (const [one, other] of pairs) expect(of(one).id, JSON.stringify([one, other])).not.toBe(of(other).id);
  });

  it("contains no readable secret", () => {
    const { id, parts } = of({ env: { TOKEN: "secret-1" } }, { apiKey: "secret-2" });
    expect(JSON.stringify([id, ...parts.values()])).not.toContain("secret");
  });

  it("changes when a path leads elsewhere, and when the binary is replaced", async () => {
    const root = await mkdtemp(join(tmpdir(), "castellan-fingerprint-"));
    const link = join(root, "current");
    const [one, two] = await Promise.all([mkdtemp(join(root, "one-")), mkdtemp(join(root, "two-"))]);
    await symlink(one, link);
    const [before, beside] = [of({ cwd: link }), of({ additionalDirectories: [link] })];
    await unlink(link);
    await symlink(two, link);
    expect(differencesOf(before, of({ cwd: link }))).toEqual(["cwd"]);
    expect(differencesOf(beside, of({ additionalDirectories: [link] }))).toEqual(["additionalDirectories"]);
    expect(of({ cwd: link }).id).toBe(of({ cwd: link }).id);
    const binary = join(root, "claude");
    await writeFile(binary, "1");
    const old = of({ pathToClaudeCodeExecutable: binary });
    await rm(binary);
    await writeFile(binary, "22");
    expect(differencesOf(old, of({ pathToClaudeCodeExecutable: binary }))).toEqual(["pathToClaudeCodeExecutable"]);
    await rm(root, { recursive: true });
  });
});

it("spareMismatch(): names the option that excludes a spare", () => {
  const hook = { hooks: [async () => ({})] };
  const server = createSdkMcpServer({ name: "own", tools: [] });
  expect(spareMismatch({ options: {} })).toBeUndefined();
  expect(
    spareMismatch({ options: { hooks: { PreToolUse: [hook] }, mcpServers: { a: { command: "a" } } } }),
  ).toBeUndefined();
  expect(spareMismatch({ options: { sessionId: "7b0c4a7e-5f4e-4f4e-9d7e-2d7f0a1c9b11" } })).toBe("session_id");
  expect(spareMismatch({ options: { settingSources: ["user"] } })).toBe("setting_sources");
  expect(spareMismatch({ options: { plugins: [{ type: "local", path: "/p" }] } })).toBe("plugins");
  expect(spareMismatch({ options: { hooks: { SessionStart: [hook] } } })).toBe("start_hooks");
  expect(spareMismatch({ options: { mcpServers: { own: server } } })).toBe("in_process_mcp");
});
