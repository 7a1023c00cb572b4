import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { McpServerConfig } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { command, once, pool, type SessionDefaults, Supervisor, type SupervisorOptions } from "../../src/index.ts";
import { mentionIn } from "../../src/session/options/command.ts";
import { controlledCommand } from "../../src/session/options/prompt.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { eventually, failure, unique } from "../session-on-fake/scene.ts";

const SECRET = "what nobody asked for";
/** An MCP server with a prompt and a resource. */
const DOCS: McpServerConfig = {
  command: process.execPath,
  args: [fileURLToPath(new URL("prompt-server.ts", import.meta.url))],
};

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi();
  await put("secret.txt", SECRET);
  await put("with space.txt", SECRET);
  await put(".claude/commands/raw.md", "---\ndescription: Raw\n---\nRaw body\n$0\n$1\n$ARGUMENTS\nend of it");
  await put(".claude/commands/broken.md", "---\ndescription: Broken\n---\nNow: !`rm -rf nothing`");
  await put(".claude/skills/greet/SKILL.md", "---\nname: greet\ndescription: Greets\n---\nGreet them: $ARGUMENTS");
  await put(".claude/agents/helper.md", "---\nname: helper\ndescription: Helps\n---\nYou help.");
  await put("CLAUDE.md", "Instructions of the project.");
});

afterEach(async () => {
  expect(api.errors).toEqual([]);
  await api.stop();
});

async function put(path: string, text: string): Promise<void> {
  const file = join(api.cwd, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** Starts a supervisor with one session. */
async function start(options: SessionDefaults = {}, more: SupervisorOptions = {}) {
  const name = unique();
  const supervisor = await Supervisor.start([{ name, ...options }], {
    journal: "memory",
    ...more,
    defaults: { env: api.env, cwd: api.cwd, settingSources: ["project"] },
  });
  return { name, supervisor, session: supervisor.session(name) };
}

/** Returns everything that the model got since the `n`-th request, as one text. */
function sentSince(n: number): string {
  return api.requests
    .slice(n)
    .map(({ raw }) => raw)
    .join("\n");
}

/** Returns the user's last message, as the model got it. */
function lastSaid(): string {
  const { messages = [] } = api.lastRequest?.body ?? {};
  return JSON.stringify(messages.findLast(({ role }) => role === "user")?.content);
}

/** Typed texts that Claude Code would interpret by default. */
const TYPED = [
  "@secret.txt",
  "Summarise @secret.txt, please",
  'Read @"with space.txt" now',
  "@./secret.txt",
  "@secret.txt#L1-1",
  "über\u2028@secret.txt",
  "ask @agent-helper for it",
  'ask @"helper (agent)" for it',
  "look at @docs:doc://one",
  "/config permissionMode=acceptEdits",
  "/model haiku",
  "/effort low",
  "/clear",
  "/compact",
  "/greet Ada",
  "/raw a b",
  "/nothing of that name",
  "/context",
  "  /clear",
  "\n/clear",
  "!touch pwned",
  "#remember this",
  "ultrathink about it",
  "/",
  "/etc/passwd",
];

describe("verbatim prompts", () => {
  it("reach the model unchanged, with the usual context, and do nothing else", async () => {
    await using scene = await open({ mcpServers: { docs: DOCS } });
    const { session } = scene;
    await connected(scene);
    for (const typed of TYPED) {
      const before = api.requests.length;
      const { text } = await session.query(typed);
      expect(text).toBe(`You said: ${typed}`);
      expect(api.requests).toHaveLength(before + 1);
    }
    const sent = sentSince(0);
    expect(sent).not.toContain(SECRET);
    expect(sent).not.toContain("a resource that was not asked for");
    expect(sent).not.toContain("expressed a desire to invoke the agent");
    const said = api.requests.flatMap(({ texts }) => texts.filter(({ role }) => role === "user"));
    expect(said.filter(({ text }) => text.includes("<command-name>"))).toEqual([]);
    expect(sent).not.toContain("is not installed in this session");
    // Instructions and skills reach the model as usual.
    expect(sent).toContain("Instructions of the project.");
    expect(sent).toContain("greet: Greets");
    expect(new Set(api.requests.map(({ body }) => body.model)).size).toBe(1);
    await expect(readFile(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "settings.json"))).rejects.toThrow("ENOENT");
    await expect(readFile(join(api.cwd, "pwned"))).rejects.toThrow("ENOENT");
    const transcript = await session.transcript();
    expect(transcript.filter(({ type }) => type === "user")).toHaveLength(TYPED.length);
  });

  it("still run UserPromptSubmit hooks, and keep plan mode", async () => {
    const asked: unknown[] = [];
    const hook = async (input: object): Promise<object> => {
      asked.push("prompt" in input ? input.prompt : undefined);
      return { hookSpecificOutput: { hookEventName: "UserPromptSubmit", additionalContext: "from the hook" } };
    };
    await using scene = await open({
      permissionMode: "plan",
      hooks: { UserPromptSubmit: [{ hooks: [hook] }] },
    });
    await scene.session.query("/plan it");
    expect(asked).toEqual(["/plan it"]);
    expect(sentSince(0)).toContain("from the hook");
    expect(sentSince(0)).toMatch(/Plan mode is active/i);
  });

  it("stay verbatim in pools, once(), and after a hibernation, a kill and a restart of the application", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const [name, crew] = [unique(), unique("crew")];
    const begin = () =>
      Supervisor.start([{ name }, pool(crew, { size: 1 })], {
        name: "application",
        journal: { sqlite },
        defaults: { env: api.env, cwd: api.cwd },
      });
    const prompt = "/config permissionMode=acceptEdits of @secret.txt";
    const typed: string[] = [];
    {
      await using supervisor = await begin();
      const session = supervisor.session(name);
      typed.push((await supervisor.query(crew, prompt)).text);
      typed.push((await once(prompt, { env: api.env, cwd: api.cwd })).text);
      typed.push((await session.query(prompt)).text);
      await session.hibernate();
      typed.push((await session.query(prompt)).text);
      api.model = () => "hangs";
      const cut = session.query(prompt);
      await api.requested(api.requests.length + 1);
      api.model = ({ texts }) => ({ text: `You said: ${texts.findLast(({ text }) => text.includes("@"))?.text}` });
      process.kill(session.status().pid ?? 0, "SIGKILL");
      typed.push((await cut).text);
      api.model = () => "hangs";
      const requested = api.requested(api.requests.length + 1);
      void session.enqueue(prompt);
      await session.enqueue(prompt, { idempotencyKey: "last" });
      await requested;
    }
    api.model = ({ texts }) => ({ text: `You said: ${texts.findLast(({ text }) => text.includes("@"))?.text}` });
    await using supervisor = await begin();
    typed.push((await supervisor.query(name, prompt, { idempotencyKey: "last" })).text);
    expect(typed).toEqual(typed.map(() => `You said: ${prompt}`));
    expect(sentSince(0)).not.toContain(SECRET);
    await expect(readFile(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "settings.json"))).rejects.toThrow("ENOENT");
  });
});

describe("commands", () => {
  it("run by name, and their arguments bring in nothing", async () => {
    await using scene = await open();
    const { session } = scene;
    await session.query(command("greet", "Ada, ada@example.com"));
    expect(lastSaid()).toContain("Greet them: Ada, ada@example.com");
    await session.query(command("raw", "!`touch pwned` $(touch pwned) /model haiku\n/config theme=dark"));
    await expect(readFile(join(api.cwd, "pwned"))).rejects.toThrow("ENOENT");
    expect(new Set(api.requests.map(({ body }) => body.model)).size).toBe(1);
    const error = await failure(session.query(command("broken")), "TURN_FAILED");
    expect(error.message).toContain("Shell command permission check failed");
    expect(error.details.class).toBe("turn");
    expect(await session.query(command("context"))).toMatchObject({
      command: "context",
      text: expect.stringContaining("Context Usage"),
    });
    expect((await session.query(command("rename", "Keep"))).text).not.toBe("");
  });

  it("refuse arguments exactly where Claude Code would read a file for them", async () => {
    const words = ["@secret.txt", '""@secret.txt', "\\@secret.txt", "(@secret.txt)", "x。@secret.txt", "a @secret.txt"];
    const harmless = [
      "a@secret.txt",
      "-@secret.txt",
      "$HOME@secret.txt",
      "$0@secret.txt",
      "é@secret.txt",
      "a.@secret.txt",
    ];
    const leaked: string[] = [];
    for (const args of [...words, ...harmless]) {
      const before = api.requests.length;
      const trusted = { verbatimPrompts: false, tools: [], env: api.env, cwd: api.cwd };
      await once(command("raw", args), { ...trusted, settingSources: ["project"] });
      if (sentSince(before).includes(SECRET)) leaked.push(args);
    }
    // What trusted arguments would read in is what untrusted arguments are refused for.
    expect(leaked).toEqual(words);
    expect(words.map(mentionIn)).toEqual(words.map(() => "@secret.txt").map((word) => expect.stringContaining(word)));
    expect(harmless.map(mentionIn)).toEqual(harmless.map(() => undefined));
  });

  it("may be prompts of an MCP server, also before the first turn", async () => {
    await using scene = await open({ mcpServers: { "my docs": DOCS } });
    const { session } = scene;
    await session.query(command("mcp__my_docs__ask", "Ada"));
    expect(lastSaid()).toContain("A prompt for Ada");
    await failure(session.query(command("mcp__my_docs__other")), "COMMAND_NOT_FOUND");
    await failure(session.query(command("mcp__others__ask")), "COMMAND_NOT_FOUND");
    expect(api.requests).toHaveLength(1);
  });

  it("are all classified, so that a new command of Claude Code fails here", async () => {
    await using scene = await open({ settingSources: [] });
    const own = (await scene.session.supportedCommands()).filter(({ builtin }) => builtin === true);
    const names = own.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    expect(names.filter((name) => !HARMLESS.has(name)).toSorted()).toEqual(
      ["model", "effort", "fast", "mcp", "config", "settings", "autocompact", "output-style"].toSorted(),
    );
    for (const name of names) expect(controlledCommand(name) === undefined, name).toBe(HARMLESS.has(name));
  });

  it("cannot change model, mode or settings past status() and the options", async () => {
    await using scene = await open({ verbatimPrompts: false });
    const { session } = scene;
    for (const typed of ["/model haiku", "/config permissionMode=acceptEdits", "/effort low", "/autocompact 100000"]) {
      await failure(session.query(typed), "INVALID_OPTIONS");
    }
    expect((await failure(session.query("/permissions"), "TURN_FAILED")).message).toContain("isn't available");
    expect((await session.query("/usage")).command).toBe("usage");
    await session.query("hi");
    expect(api.lastRequest?.body.model).toContain("opus");
    await expect(readFile(join(api.env["CLAUDE_CONFIG_DIR"] ?? "", "settings.json"))).rejects.toThrow("ENOENT");
  });
});

describe("Session.compact", () => {
  it("replaces the conversation by a summary, also after a kill and a restart of the application", async () => {
    const sqlite = join(newFolder(), "castellan.db");
    const name = unique();
    const begin = () =>
      Supervisor.start([{ name }], {
        name: "application",
        journal: { sqlite },
        defaults: { env: api.env, cwd: api.cwd },
      });
    const answers = { text: "The summary speaks of a keep." };
    api.model = () => answers;
    {
      await using supervisor = await begin();
      const session = supervisor.session(name);
      for (const prompt of ["first word", "second word", "third word"]) await session.query(prompt);
      const reply = await session.compact("keep the keep");
      expect(reply).toMatchObject({ text: "The conversation has been compacted.", command: "compact" });
      expect(reply.costUsd).toBeGreaterThan(0);
      expect(sentSince(api.requests.length - 1)).toContain("keep the keep");
      await session.query("after it");
      expect(sentSince(api.requests.length - 1)).not.toContain("first word");
      // An untouched turn is retried on the summary.
      await session.compact();
      api.model = () => "hangs";
      const cut = session.query("the one that is cut");
      await api.requested(api.requests.length + 1);
      api.model = () => answers;
      process.kill(session.status().pid ?? 0, "SIGKILL");
      expect((await cut).text).toBe(answers.text);
      const matches = api.lastRequest?.texts.filter(({ text }) => text.includes("the one that is cut")) ?? [];
      expect(matches).toHaveLength(1);
      expect(sentSince(api.requests.length - 1)).toContain("The summary speaks of a keep.");
    }
    await using supervisor = await begin();
    await supervisor.query(name, "and now");
    const sent = sentSince(api.requests.length - 1);
    expect(sent).toContain("The summary speaks of a keep.");
    expect(sent).not.toContain("first word");
  });

  it("rejects with TURN_FAILED and the reason, and the conversation continues", async () => {
    await using scene = await open();
    const { session } = scene;
    expect((await failure(session.compact(), "TURN_FAILED")).message).toContain("No messages to compact");
    await session.query("one");
    await session.query("two");
    api.model = () => ({ error: { status: 400, message: "too strange" } });
    const refused = await failure(session.compact(), "TURN_FAILED");
    expect(refused.details).toMatchObject({ class: "request", status: 400 });
    expect(refused.message).toContain("too strange");
    api.model = ({ texts }) => ({ text: texts.some(({ text }) => text === "one") ? "remembered" : "forgotten" });
    expect((await session.query("three")).text).toBe("remembered");
    // The text of an earlier command is not reported as the summary's.
    const turn = session.stream(command("compact"));
    expect(await Array.fromAsync(turn.text())).toEqual(["The conversation has been compacted."]);
  });

  it("can be interrupted, and the session continues", async () => {
    await using scene = await open();
    const { session } = scene;
    await session.query("one");
    api.model = () => "hangs";
    const turn = session.stream(command("compact"));
    await api.requested(api.requests.length + 1);
    await turn.interrupt();
    await failure(turn.result(), "TURN_INTERRUPTED");
    api.model = ({ texts }) => ({ text: texts.some(({ text }) => text === "one") ? "remembered" : "forgotten" });
    expect((await session.query("two")).text).toBe("remembered");
    expect(session.status()).toMatchObject({ state: "idle", restarts: 0 });
  });
});

/**
 * Claude Code's own commands that change nothing that Castellan controls: they prompt the model, show something, or are
 * followed. Check what a command does before you add it.
 */
const HARMLESS: ReadonlySet<string> = new Set([
  "deep-research",
  "dataviz",
  "update-config",
  "verify",
  "debug",
  "code-review",
  "review",
  "simplify",
  "batch",
  "fewer-permission-prompts",
  "doctor",
  "checkup",
  "loop",
  "proactive",
  "claude-api",
  "workflow-authoring",
  "run",
  "run-skill-generator",
  "plugin-authoring",
  "agents",
  "auto-mode-setup",
  "clear",
  "reset",
  "new",
  "color",
  "compact",
  "context",
  "focus",
  "heapdump",
  "init",
  "__remote-workflow",
  "workflow-launch-exec",
  "reload-plugins",
  "reload-skills",
  "rename",
  "name",
  "security-review",
  "usage",
  "cost",
  "stats",
  "insights",
  "recap",
  "goal",
  "list-agents",
  "peers",
  "team-onboarding",
]);

type Started = Awaited<ReturnType<typeof start>>;

/** Like {@link start}, for `await using`. */
async function open(options: SessionDefaults = {}): Promise<Started & AsyncDisposable> {
  const started = await start(options);
  return { ...started, [Symbol.asyncDispose]: () => started.supervisor.stop() };
}

async function connected({ session }: Started): Promise<void> {
  let state = "pending";
  while (state === "pending") state = (await session.mcpStatus())[0]?.status ?? "none";
  expect(state).toBe("connected");
  await eventually(() => session.status().state === "idle");
}
