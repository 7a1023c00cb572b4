import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { REFUSED_SDK_OPTIONS, sdkOptionsShape } from "../../src/claude/sdk-options.ts";
import { CastellanError, type OptionProblem } from "../../src/errors.ts";
import type { SessionDefaults, SessionOptions } from "../../src/session/options/options.ts";
import {
  checkSessionDefaults,
  likeOptions,
  type SessionSettings,
  sessionSettings,
} from "../../src/session/options/session-settings.ts";
import { turnSettings } from "../../src/session/options/turn-options.ts";

const SECRET = "sk-ant-very-secret";

/** Returns the INVALID_OPTIONS error of `call`. */
function refusalOf(call: () => unknown): CastellanError<"INVALID_OPTIONS"> {
  try {
    call();
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) return error;
    throw error;
  }
  throw new Error("was accepted");
}

/** Calls it as JavaScript would, without the types. */
const untyped: (options: unknown, defaults?: SessionDefaults, at?: string) => SessionSettings = (
  options,
  defaults,
  at,
) => sessionSettings(options as SessionOptions, defaults ?? {}, at);

function problemsOf(fields: Record<string, unknown>): readonly OptionProblem[] {
  return refusalOf(() => untyped({ name: "a", ...fields })).details.problems;
}

/** Castellan's own options, with `verbatimPrompts`, which replaces the SDK's. */
type OwnOption = Exclude<keyof SessionOptions, Exclude<keyof SdkOptions, "verbatimPrompts">>;

const NO_DURATION = ["soon", "5 parsecs", "", -1, "-5s", Number.NaN, Number.POSITIVE_INFINITY, true, null, {}];

/** For each own option, wrong values and words of the message about right ones. */
const WRONG: Record<OwnOption, { readonly values: readonly unknown[]; readonly allowed: readonly string[] }> = {
  name: { values: ["", 7, [], [7], ["a", {}], null, undefined, {}], allowed: ["a string, or a tuple"] },
  apiKey: { values: [42, true, {}, { env: 5 }, [SECRET]], allowed: ["expected string"] },
  timeout: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  queueTimeout: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  stallTimeout: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  idleTimeout: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  maxMemory: { values: ["much", "500", "-1MB", 0, 1.5, null, {}, "1PB"], allowed: ["500MB"] },
  maxAge: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  backgroundTaskTimeout: { values: NO_DURATION, allowed: ["milliseconds", "30s"] },
  pinned: { values: ["yes", 1, null], allowed: ["boolean"] },
  activation: { values: ["early", true, null], allowed: ["eager", "lazy"] },
  approvals: { values: ["yes", 1, null, {}, { timeout: "soon" }], allowed: [] },
  outputSchema: { values: ["a form", 7, [], null], allowed: ["zod", "JSON Schema"] },
  signal: { values: [new AbortController(), "abort", null], allowed: ["AbortSignal"] },
  verbatimPrompts: { values: ["no", 0, null], allowed: ["boolean"] },
  mailboxLimit: { values: [-1, 1.5, "10", Number.POSITIVE_INFINITY, null], allowed: ["expected"] },
  whenBusy: { values: ["sometimes", 1, true, null], allowed: ["enqueue", "reject"] },
  onInterruptedTurn: { values: ["ignore", false], allowed: ["retry_if_untouched", "fail", "retry"] },
  onMissingConversation: { values: ["forget", true], allowed: ["fail", "fresh"] },
  restart: { values: ["always", 3, true], allowed: ["permanent", "transient", "temporary"] },
  shutdown: { values: ["kill", -1, true, null], allowed: ["brutal_kill", "infinity", "30s"] },
  significant: { values: ["yes", 1, null], allowed: ["boolean"] },
  labels: { values: ["user", null, ["a"]], allowed: ["expected record"] },
  recordMessages: { values: ["yes", 1, null], allowed: ["boolean"] },
  budget: { values: [5, "5", null, []], allowed: ["expected object"] },
  inheritEnv: { values: ["AWS_*", [1], 1, null], allowed: ["boolean", "array"] },
  isolate: { values: ["yes", 1, null], allowed: ["boolean", "object"] },
  autoMemory: { values: ["yes", 1, null], allowed: ["boolean"] },
  niceness: { values: ["low", -1, 20, 1.5, null, Number.NaN], allowed: ["expected"] },
  requireMcpServers: { values: ["db", 1, null, [1]], allowed: ["boolean", "array"] },
};

describe("Own options", () => {
  const table = Object.entries(WRONG).flatMap(([field, { values, allowed }]) =>
    values.map((value) => ({ field, value, allowed })),
  );

  it.each(table)(
    "$field: rejects $value by name, with what is allowed and what was given",
    ({ field, value, allowed }) => {
      const problems = problemsOf({ [field]: value });
      expect(problems.map((problem) => problem.field)).toEqual([field]);
      const [{ message } = { message: "" }] = problems;
      if (!(field === "inheritEnv" && Array.isArray(value)))
        for (const words of allowed) expect(message).toContain(words);
      expect(message).toContain("got ");
    },
  );

  it("are checked in defaults, too", () => {
    const { name: _, signal: _1, ...defaults } = WRONG;
    for (const [field, { values }] of Object.entries(defaults)) {
      const options = { [field]: values[0] } as SessionDefaults;
      const { problems } = refusalOf(() => checkSessionDefaults(options, "supervisor")).details;
      expect(problems.map((problem) => problem.field)).toEqual([`defaults.${field}`]);
    }
  });
});

describe("sessionSettings", () => {
  it("fills in the defaults that the doc comments state", () => {
    expect(sessionSettings({ name: "a" }, {})).toEqual({
      name: "a",
      key: '"a"',
      labels: {},
      recordMessages: false,
      timeout: undefined,
      queueTimeout: 600_000,
      stallTimeout: expect.any(Number),
      approvals: false,
      outputSchema: undefined,
      output: undefined,
      signal: undefined,
      idleTimeout: undefined,
      pinned: false,
      maxMemory: undefined,
      maxAge: undefined,
      backgroundTaskTimeout: undefined,
      activation: "eager",
      mailboxLimit: 100,
      verbatimPrompts: true,
      whenBusy: "enqueue",
      onInterruptedTurn: "retry_if_untouched",
      onMissingConversation: undefined,
      restart: "permanent",
      shutdown: 5_000,
      significant: false,
      apiKey: undefined,
      inheritEnv: undefined,
      autoMemory: false,
      requireMcpServers: false,
      niceness: 0,
      isolate: false,
      ownDirectory: undefined,
      sdk: {},
    });
  });

  it("reads durations in all forms", () => {
    const settings = sessionSettings({ name: "a", timeout: "2m", queueTimeout: 50, shutdown: "1.5s" }, {});
    expect(settings).toMatchObject({ timeout: 120_000, queueTimeout: 50, shutdown: 1_500 });
    expect(sessionSettings({ name: "a", shutdown: "brutal_kill" }, {}).shutdown).toBe("brutal_kill");
    expect(sessionSettings({ name: "a", shutdown: "infinity" }, {}).shutdown).toBe("infinity");
    expect(sessionSettings({ name: "a", shutdown: 0, mailboxLimit: 0 }, {})).toMatchObject({
      shutdown: 0,
      mailboxLimit: 0,
    });
  });

  it("prefers each option of the session as a whole over the defaults", () => {
    const defaults: SessionDefaults = {
      model: "claude-haiku-4-5",
      maxTurns: 5,
      timeout: "1m",
      mailboxLimit: 7,
      env: { A: "default", B: "default" },
      allowedTools: ["Read"],
    };
    const own: SessionOptions = { name: "a", maxTurns: 2, timeout: "3m", env: { A: "own" }, allowedTools: [] };
    const settings = sessionSettings(own, defaults);
    expect(settings).toMatchObject({ timeout: 180_000, mailboxLimit: 7 });
    expect(settings.sdk).toEqual({ model: "claude-haiku-4-5", maxTurns: 2, env: { A: "own" }, allowedTools: [] });
  });

  it("treats undefined as a missing option", () => {
    const settings = untyped({ name: "a", model: undefined, timeout: undefined }, { model: "m", timeout: 5 });
    expect(settings).toMatchObject({ timeout: 5, sdk: { model: "m" } });
  });

  it("passes the SDK its options unchanged, and none of Castellan's", () => {
    const canUseTool: NonNullable<SdkOptions["canUseTool"]> = async () => ({ behavior: "deny", message: "no" });
    const hooks: NonNullable<SdkOptions["hooks"]> = { Stop: [{ hooks: [async () => ({})] }] };
    const { sdk } = sessionSettings({ name: "a", apiKey: "k", timeout: 1, whenBusy: "reject", canUseTool, hooks }, {});
    expect(Object.keys(sdk).sort()).toEqual(["canUseTool", "hooks"]);
    expect(sdk.canUseTool).toBe(canUseTool);
    expect(sdk.hooks).toBe(hooks);
  });

  it("does not change its arguments", () => {
    const [options, defaults] = [Object.freeze({ name: "a", timeout: "1s" }), Object.freeze({ model: "m" })];
    sessionSettings(options, defaults);
    expect([options, defaults]).toEqual([{ name: "a", timeout: "1s" }, { model: "m" }]);
  });

  it.each([
    ["tols", "`tools`"],
    ["systemprompt", "`systemPrompt`"],
    ["maxTurn", "`maxTurns`"],
    ["time_out", "`timeout`"],
    ["alowedTools", "`allowedTools`"],
    ["apikey", "`apiKey`"],
    ["mcpServer", "`mcpServers`"],
  ])("rejects %s, and suggests %s first", (field, suggestion) => {
    expect(problemsOf({ [field]: SECRET })).toEqual([
      { field, message: expect.stringMatching(new RegExp(`^is not an option; did you mean ${suggestion}`)) },
    ]);
  });

  it("rejects an unknown option without a suggestion when none is near", () => {
    expect(problemsOf({ somethingElse: 1 })).toEqual([{ field: "somethingElse", message: "is not an option" }]);
  });

  it("reports all problems at once, and the session's name", () => {
    const error = refusalOf(() => untyped({ name: ["user", 42], timeout: "soon", maxTurns: 0, tols: [] }));
    expect(error.details.problems.map(({ field }) => field).sort()).toEqual(["maxTurns", "timeout", "tols"]);
    expect(error.message).toContain('session ["user",42]');
    for (const field of ["maxTurns", "timeout", "tols"]) expect(error.message).toContain(`\`${field}\``);
  });

  it("reports the place of the options in a list", () => {
    const fields = (options: unknown): string[] =>
      refusalOf(() => untyped(options, {}, "children[2]")).details.problems.map(({ field }) => field);
    expect(fields({ name: "a", timeout: "soon" })).toEqual(["children[2].timeout"]);
    expect(fields({ name: "a", tols: [] })).toEqual(["children[2].tols"]);
    expect(fields({ name: "a", forkSession: true })).toEqual(["children[2].forkSession"]);
    expect(fields({ name: "a", significant: true })).toEqual(["children[2].significant"]);
  });

  it.each<[unknown]>([[null], [undefined], ["assistant"], [7], [[]], [() => {}]])(
    "rejects %o as options",
    (options) => {
      expect(refusalOf(() => untyped(options)).message).toContain("session");
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ["significant", { significant: true }],
    ["significant", { significant: true, restart: "permanent" }],
    ["permissionMode", { permissionMode: "bypassPermissions" }],
    [
      "sessionId",
      { resume: "8c0a4d0e-0000-4000-8000-000000000000", sessionId: "8c0a4d0e-0000-4000-8000-000000000001" },
    ],
  ])("rejects contradictions: %s in %o", (field, options) => {
    expect(problemsOf(options).map((problem) => problem.field)).toEqual([field]);
  });

  it("rejects an aborted `abortController`", () => {
    const abortController = new AbortController();
    expect(() => sessionSettings({ name: "a", abortController }, {})).not.toThrow();
    abortController.abort();
    expect(problemsOf({ abortController }).map(({ field }) => field)).toEqual(["abortController"]);
  });

  it("rejects a contradiction between a session and its defaults", () => {
    const defaults: SessionDefaults = { permissionPrompts: "none" };
    const canUseTool: NonNullable<SdkOptions["canUseTool"]> = async () => ({ behavior: "deny", message: "no" });
    const error = refusalOf(() => sessionSettings({ name: "a", canUseTool }, defaults));
    expect(error.details.problems.map(({ field }) => field)).toEqual(["permissionPrompts"]);
    expect(() => sessionSettings({ name: "a", canUseTool, permissionPrompts: "host" }, defaults)).not.toThrow();
  });

  it("accepts `significant` with a restart type other than permanent", () => {
    expect(sessionSettings({ name: "a", significant: true, restart: "transient" }, {}).significant).toBe(true);
  });
});

describe("isolate, autoMemory and env", () => {
  const at = (options: Partial<SessionOptions>, defaults: SessionDefaults = {}): SessionSettings =>
    sessionSettings({ name: ["support", "../42"], ...options }, defaults);

  it("replaces the default `cwd` by the session's own directory", () => {
    const { ownDirectory, sdk } = at({ isolate: { root: "/tenants" } }, { cwd: "/app", model: "m" });
    expect(ownDirectory).toMatchObject({ root: "/tenants" });
    expect(sdk).toEqual({ cwd: ownDirectory?.path, model: "m" });
    expect(at({}, { isolate: { root: "/tenants" }, cwd: "/app" }).ownDirectory).toEqual(ownDirectory);
    expect(at({ isolate: { root: "/tenants" } }).sdk.cwd).toBe(ownDirectory?.path);
  });

  it.each<[unknown, string]>([
    [{}, "isolate"],
    [{ root: "" }, "isolate.root"],
    [{ root: 1 }, "isolate"],
    [{ root: "/tenants", mode: 0o777 }, "isolate"],
    [["/tenants"], "isolate"],
  ])("rejects `isolate: %j`", (isolate, field) => {
    expect(problemsOf({ isolate }).map((problem) => problem.field)).toEqual([field]);
  });

  it("rejects a session's own `cwd` beside `isolate`, and accepts it with `isolate: false`", () => {
    const both = refusalOf(() => at({ cwd: "/app", isolate: true }));
    expect(both.details.problems.map(({ field }) => field)).toEqual(["cwd"]);
    const inherited = refusalOf(() => at({ cwd: "/app" }, { isolate: true }));
    expect(inherited.message).toContain("`isolate: false`");
    expect(at({ cwd: "/app", isolate: false }, { isolate: true })).toMatchObject({
      ownDirectory: undefined,
      sdk: { cwd: "/app" },
    });
  });

  it("rejects a settings file beside `isolate`, which adds its own settings", () => {
    const { problems } = refusalOf(() => at({ isolate: true, settings: "/settings.json" })).details;
    expect(problems.map(({ field }) => field)).toEqual(["settings"]);
    expect(at({ settings: "/settings.json" }).sdk.settings).toBe("/settings.json");
  });

  it("gives a session with copied options its own directory in the same root", () => {
    const settings = at({ isolate: { root: "/tenants" }, autoMemory: true });
    const other = sessionSettings({ ...likeOptions(settings), name: ["support", 43] }, { cwd: "/app" });
    expect(other.ownDirectory).toMatchObject({ root: "/tenants" });
    expect(other.ownDirectory?.path).not.toBe(settings.ownDirectory?.path);
    expect(other).toMatchObject({ autoMemory: true, sdk: { cwd: other.ownDirectory?.path } });
    const plain = sessionSettings({ ...likeOptions(at({ cwd: "/app" })), name: "other" }, { isolate: true });
    expect(plain).toMatchObject({ ownDirectory: undefined, sdk: { cwd: "/app" } });
  });

  it("turns memory on by the option or by Claude Code's own setting only", () => {
    expect(at({}).autoMemory).toBe(false);
    expect(at({ autoMemory: true }).autoMemory).toBe(true);
    expect(at({ settings: { autoMemoryEnabled: true } }).autoMemory).toBe(true);
    expect(at({ settings: { autoMemoryEnabled: true }, autoMemory: false }).autoMemory).toBe(false);
    expect(at({ settings: "/settings.json" }).autoMemory).toBe(false);
    const { problems } = refusalOf(() => at({ settings: { autoMemoryEnabled: false }, autoMemory: true })).details;
    expect(problems.map(({ field }) => field)).toEqual(["autoMemory"]);
  });

  it("rejects an agent's memory without `autoMemory`", () => {
    const agents = { helper: { description: "helps", prompt: "You help", memory: "user" } } as const;
    const { problems } = refusalOf(() => at({ agents })).details;
    expect(problems.map(({ field }) => field)).toEqual(["agents.helper.memory"]);
    expect(() => at({ agents, autoMemory: true })).not.toThrow();
  });

  it.each([
    "CLAUDE_CODE_SKIP_PROMPT_HISTORY",
    "CLAUDE_CODE_EXIT_AFTER_STOP_DELAY",
    "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
  ])("rejects the variable %s, with the reason", (name) => {
    const error = refusalOf(() => at({ env: { [name]: "1" }, inheritEnv: [name] }));
    expect(error.details.problems.map(({ field }) => field)).toEqual([`env.${name}`, `inheritEnv.${name}`]);
    expect(() => at({ env: { [name]: undefined }, inheritEnv: ["CLAUDE_*"] })).not.toThrow();
  });
});

describe("Secrets in options", () => {
  const header = { headers: { Authorization: `Bearer ${SECRET}` } };

  it.each<[string, unknown]>([
    ["apiKey", [SECRET]],
    ["apiKey", { env: "A", value: SECRET }],
    ["apiKey", { key: SECRET }],
    ["apikey", SECRET],
    ["env", SECRET],
    ["env", [`ANTHROPIC_API_KEY=${SECRET}`]],
    ["env", { ANTHROPIC_API_KEY: [SECRET] }],
    ["inheritEnv", SECRET],
    ["mcpServers", [header]],
    ["mcpServers", { web: SECRET }],
    ["mcpServers", `https://user:${SECRET}@host`],
    ["settings", [{ env: { A: SECRET } }]],
    ["managedSettings", `{"apiKeyHelper":"${SECRET}"}`],
    ["extraArgs", ["--token", SECRET]],
    ["extraArgs", { token: [SECRET] }],
    ["agents", { a: { mcpServers: [SECRET] } }],
    ["agents", SECRET],
    ["model", { apiKey: SECRET }],
    ["cwd", [SECRET]],
    ["timeout", { token: SECRET }],
  ])("are hidden when %s is wrong (%#)", (field, value) => {
    const error = refusalOf(() => untyped({ name: "a", [field]: value }));
    expect(error.message).not.toContain(SECRET);
    expect(JSON.stringify(error.details)).not.toContain(SECRET);
  });
});

describe("Values that cannot be printed", () => {
  const endless: Record<string, unknown> = {};
  endless["self"] = endless;

  it.each<[string, unknown]>([
    ["an endless object", endless],
    ["an object with a bigint", { big: 1n }],
    ["a bigint", 1n],
    ["a symbol", Symbol("x")],
    ["an object without a prototype", Object.create(null)],
    ["an object that JSON leaves out", { toJSON: () => undefined }],
    ["a function", () => {}],
    ["an instance", new Map()],
    ["a very long text", "x".repeat(1_000_000)],
  ])("are rejected as any other: %s", (_, value) => {
    const [problem] = problemsOf({ mailboxLimit: value });
    expect(problem?.field).toBe("mailboxLimit");
    expect(problem?.message.length).toBeLessThan(200);
  });
});

describe("Options of the Agent SDK", () => {
  it("are all known by name, and either checked or rejected with a reason", async () => {
    const folder = dirname(fileURLToPath(import.meta.resolve("@anthropic-ai/claude-agent-sdk")));
    const types = await readFile(join(folder, "sdk.d.ts"), "utf8");
    const [, body = ""] = /^export declare type Options = \{$([\s\S]*?)^\};$/m.exec(types) ?? [];
    const names = [...body.matchAll(/^ {4}(\w+)\?:/gm)].map(([, name]) => name ?? "");
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) {
      const [problem] = problemsOf({ [name]: Symbol("wrong") });
      expect(problem?.field).toBe(name);
      const refused = name in REFUSED_SDK_OPTIONS;
      expect(problem?.message, name).toMatch(refused ? /^cannot be set on a session: / : /expected|invalid/i);
    }
    expect(names.sort()).toEqual([...Object.keys(sdkOptionsShape), ...Object.keys(REFUSED_SDK_OPTIONS)].sort());
  });

  it.each(Object.keys(REFUSED_SDK_OPTIONS))("%s is rejected, in defaults too, unless it is undefined", (field) => {
    for (const value of [true, false, "8c0a4d0e-0000-4000-8000-000000000000"]) {
      expect(problemsOf({ [field]: value })[0]?.message).toMatch(/^cannot be set on a session: ./);
      const options = { [field]: value } as SessionDefaults;
      expect(() => checkSessionDefaults(options, "supervisor")).toThrow(/cannot be set on a session/);
    }
    expect(untyped({ name: "a", [field]: undefined }).sdk).toEqual({});
  });
});

it("maxBudgetUsd: is rejected with a hint at `budget`, as an option and as a flag", () => {
  for (const options of [{ maxBudgetUsd: 1 }, { extraArgs: { "max-budget-usd": "1" } }]) {
    expect(problemsOf(options)[0]?.message).toContain("`budget`");
  }
});

describe("checkSessionDefaults", () => {
  it("accepts all options but a name, and drops undefined ones", () => {
    const gap: object = { maxTurns: undefined };
    const defaults: SessionDefaults = { model: "m", timeout: "1m", ...gap };
    expect(checkSessionDefaults(defaults, "supervisor")).toStrictEqual({ model: "m", timeout: "1m" });
    const named = { name: "a" } as SessionDefaults;
    const { problems } = refusalOf(() => checkSessionDefaults(named, "supervisor")).details;
    expect(problems.map(({ field }) => field)).toEqual(["defaults.name"]);
  });

  it("leaves contradictions to the sessions, which may resolve them", () => {
    const defaults: SessionDefaults = { permissionMode: "bypassPermissions" };
    expect(checkSessionDefaults(defaults, "supervisor")).toEqual(defaults);
    expect(() => sessionSettings({ name: "a", allowDangerouslySkipPermissions: true }, defaults)).not.toThrow();
    expect(() => sessionSettings({ name: "a" }, defaults)).toThrow(/permissionMode/);
  });
});

describe("turnSettings", () => {
  const session = sessionSettings({ name: "a", timeout: "1m", queueTimeout: "2m", whenBusy: "reject" }, {});

  it("takes missing options from the session", () => {
    expect(turnSettings({}, session)).toEqual({
      timeoutMs: 60_000,
      queueTimeoutMs: 120_000,
      whenBusy: "reject",
      idempotencyKey: undefined,
      verbatimPrompts: true,
      signal: undefined,
      output: undefined,
    });
  });

  it("prefers the turn's options", () => {
    const { signal } = new AbortController();
    const settings = turnSettings(
      { timeout: 0, queueTimeout: "5s", whenBusy: "enqueue", verbatimPrompts: false, signal },
      session,
    );
    expect(settings).toEqual({
      timeoutMs: 0,
      queueTimeoutMs: 5_000,
      whenBusy: "enqueue",
      idempotencyKey: undefined,
      verbatimPrompts: false,
      signal,
      output: undefined,
    });
    expect(settings.signal).toBe(signal);
  });

  it("lets a turn override `verbatimPrompts: false` of the session", () => {
    const trusting = sessionSettings({ name: "a", verbatimPrompts: false }, {});
    expect(turnSettings({}, trusting).verbatimPrompts).toBe(false);
    expect(turnSettings({ verbatimPrompts: true }, trusting).verbatimPrompts).toBe(true);
  });

  it.each(["systemPrompt", "model", "mcpServers", "cwd", "apiKey", "mailboxLimit", "name"])(
    "rejects %s, which a live process cannot change",
    (field) => {
      const { problems } = refusalOf(() => turnSettings({ [field]: "x" }, session)).details;
      expect(problems).toEqual([
        { field, message: expect.stringContaining("is an option of a session, not of a turn") },
      ]);
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ["timeout", { timeout: "soon" }],
    ["queueTimeout", { queueTimeout: -1 }],
    ["whenBusy", { whenBusy: "maybe" }],
    ["signal", { signal: new AbortController() }],
    ["signal", { signal: "abort" }],
    ["timeot", { timeot: 5 }],
    ["verbatimPrompts", { verbatimPrompts: "no" }],
  ])("rejects a wrong %s", (field, options) => {
    const error = refusalOf(() => turnSettings(options, session));
    expect(error.details.problems.map((problem) => problem.field)).toEqual([field]);
    expect(error.message).toContain('turn of session "a"');
  });

  it("suggests a near option for an unknown one", () => {
    expect(() => turnSettings(Object.assign({ timeout: 5 }, { timeot: 5 }), session)).toThrow(/did you mean `timeout`/);
  });
});
