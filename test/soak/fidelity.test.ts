import { randomUUID } from "node:crypto";
import {
  type CanUseTool,
  createSdkMcpServer,
  type HookCallback,
  type Options,
  type PermissionUpdate,
  tool,
} from "@anthropic-ai/claude-agent-sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { rewind } from "../../src/claude/rewind.ts";
import { type FakeScript, fakeClaude, type MockApi, mockApi } from "../../src/testing/index.ts";
import { BareSession, textDelta } from "../testing/bare-session.ts";
import { shapeOf, shapesOf } from "../testing/shape.ts";

/** A scenario for the real Claude Code and for the fake. */
interface Scenario {
  readonly name: string;
  readonly options?: () => Options;
  readonly replies?: (api: MockApi) => void;
  readonly script?: FakeScript;
  readonly act: (session: BareSession) => Promise<void>;
}

/** What a host observed of it. */
interface Observation {
  readonly messages: unknown[];
  readonly hooks: unknown[];
  readonly outcome: string;
}

const hooked: unknown[] = [];

const scenarios: Scenario[] = [
  {
    name: "two streamed turns, an interrupt in mid-text, /clear",
    options: () => ({ includePartialMessages: true }),
    replies: (api) => api.reply("slow", { text: "one two three four five six seven eight", tokensPerSecond: 20 }),
    script: async (turn) => {
      if (turn.prompt === "slow") {
        await turn.partial("one two ");
        await turn.hang();
      }
      await turn.text("You said something.");
    },
    act: async (session) => {
      await session.ask("one");
      await session.ask("two");
      session.send("slow");
      await session.next((message) => textDelta(message) !== undefined);
      await session.query.interrupt();
      await session.result();
      await session.ask("/clear");
      await session.ask("three");
      await session.end();
    },
  },
  {
    name: "/compact of nothing",
    act: async (session) => {
      await session.ask("/compact now");
      await session.ask("one");
      await session.end();
    },
  },
  {
    name: "/compact, and what only looks like a command",
    act: async (session) => {
      await session.ask("one");
      await session.ask("/clear", { client_composed: true });
      await session.ask("/compact keep the names");
      await session.ask("two");
      await session.ask("  /compact");
      await session.end();
    },
  },
  {
    name: "a prompt that failed, and is forgotten",
    replies: (api) => api.reply("boom", { error: { status: 500, message: "boom" } }),
    script: async (turn) => {
      if (turn.prompt === "boom") await turn.fail({ status: 500, message: "boom" });
      else await turn.text(`You said: ${turn.prompt}`);
    },
    act: async (session) => {
      await session.ask("one");
      const uuid = randomUUID();
      session.send("boom", uuid);
      await session.result();
      hooked.push(await rewind(session.query, randomUUID()), await rewind(session.query, uuid));
      await session.ask("two");
      await session.end();
    },
  },
  {
    name: "thinking, a tool, its hooks, an in-process MCP tool, settings",
    options: () => ({
      allowedTools: ["Bash", "mcp__sums__add"],
      hooks: {
        PreToolUse: [{ matcher: "Bash|mcp.*", hooks: [note] }],
        PostToolUse: [{ hooks: [note] }],
        UserPromptSubmit: [{ hooks: [note] }],
        Stop: [{ hooks: [note] }],
      },
      mcpServers: { sums: createSdkMcpServer({ name: "sums", tools: [add] }) },
    }),
    replies: (api) => {
      api.reply("think", { thinking: "hm hm hm", text: "done" });
      api.reply("bash", { text: "Let me look.", toolUses: [{ name: "Bash", input: { command: "echo hi" } }] });
      api.reply("add", { toolUses: [{ name: "mcp__sums__add", input: { a: 1, b: 2 } }] });
    },
    script: async (turn) => {
      if (turn.prompt === "think") await turn.thinking("hm hm hm");
      if (turn.prompt === "bash") {
        await turn.text("Let me look.");
        await turn.toolUse("Bash", { command: "echo hi" }, { result: "hi" });
      }
      if (turn.prompt === "add") await turn.callTool("sums", "add", { a: 1, b: 2 });
      await turn.text("done");
    },
    act: async (session) => {
      for (const prompt of ["think", "bash", "add"]) await session.ask(prompt);
      await session.query.setModel("claude-haiku-4-5");
      await session.query.setPermissionMode("acceptEdits");
      await session.ask("end");
      await session.end();
    },
  },
  {
    name: "a tool that canUseTool denies",
    options: () => ({ canUseTool: async () => ({ behavior: "deny", message: "no" }) }),
    replies: (api) => api.reply("write", { toolUses: [{ name: "Write", input: WRITTEN }] }),
    script: async (turn) => {
      await turn.toolUse("Write", WRITTEN, { ask: true });
      await turn.text("done");
    },
    act: async (session) => {
      await session.ask("write");
      await session.end();
    },
  },
  {
    name: "plan mode entered and left, a mode and a rule that an answer grants, rules that the host sends",
    options: () => ({ permissionMode: "acceptEdits", canUseTool: granting }),
    replies: (api) => {
      for (const [prompt, name, input] of PERMITTED) api.reply(prompt, { toolUses: [{ name, input }] });
    },
    script: async (turn) => {
      const [, name, input] = PERMITTED.find(([prompt]) => prompt === turn.prompt) ?? [];
      if (name !== undefined && input !== undefined) await turn.toolUse(name, input, { ask: true });
      await turn.text("done");
    },
    act: async (session) => {
      for (const prompt of ["write", "enter", "write", "exit", "write", "bash", "bash"]) await session.ask(prompt);
      await session.query.applyFlagSettings({ permissions: { deny: ["Bash"], additionalDirectories: ["/tmp"] } });
      await session.ask("bash");
      await session.query.setPermissionMode("plan");
      await session.ask("exit");
      await session.ask("exit");
      await session.end();
    },
  },
  {
    name: "a permission that a hook gives while somebody else is asked",
    options: () => ({
      canUseTool: (_tool, _input, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve({ behavior: "deny", message: "too late" }));
        }),
      hooks: { PermissionRequest: [{ hooks: [permitting] }] },
    }),
    replies: (api) => api.reply("bash", { toolUses: [{ name: "Bash", input: { command: "mkdir -p made" } }] }),
    script: async (turn) => {
      await turn.toolUse("Bash", { command: "mkdir -p made" }, { ask: true });
      await turn.text("done");
    },
    act: async (session) => {
      await session.ask("bash");
      await session.end();
    },
  },
  {
    name: "an interrupt while a tool runs, the end of input after it",
    options: () => ({ includePartialMessages: true, allowedTools: ["Bash"] }),
    replies: (api) => api.reply("wait", { toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null" } }] }),
    script: async (turn) => {
      await turn.toolUse("Bash", {}, { hang: true });
    },
    act: async (session) => {
      session.send("wait");
      await session.next((message) => message.type === "stream_event" && message.event.type === "message_stop");
      await session.query.interrupt();
      await session.result();
      await session.end();
    },
  },
  {
    name: "an error of the API, the end of input after it",
    replies: (api) => api.reply("go", { error: { status: 529, message: "Overloaded" } }),
    script: (turn) => turn.fail({ status: 529 }),
    act: async (session) => {
      await session.ask("go");
      await session.end();
    },
  },
  {
    name: "a conversation that is not known",
    options: () => ({ resume: randomUUID() }),
    act: async (session) => {
      await session.query.initializationResult().catch(() => {});
      await session.ended;
    },
  },
];

const WRITTEN = { file_path: "/nowhere/x", content: "x" };

/** Tools that need permission, by prompt. */
const PERMITTED: readonly (readonly [string, string, Record<string, unknown>])[] = [
  ["enter", "EnterPlanMode", {}],
  ["exit", "ExitPlanMode", { plan: "the plan" }],
  ["write", "Write", WRITTEN],
  ["bash", "Bash", { command: "mkdir -p made" }],
];

const MKDIR: PermissionUpdate = {
  type: "addRules",
  rules: [{ toolName: "Bash", ruleContent: "mkdir:*" }],
  behavior: "allow",
  destination: "session",
};

/** Denies Write, and allows everything else together with a mode or a rule. */
const granting: CanUseTool = async (name, input) => {
  if (name === "Write") return { behavior: "deny", message: "no" };
  const mode: PermissionUpdate = { type: "setMode", mode: "default", destination: "session" };
  return { behavior: "allow", updatedInput: input, updatedPermissions: [name === "Bash" ? MKDIR : mode] };
};

const permitting: HookCallback = async (input) => {
  await note(input, undefined, { signal: new AbortController().signal });
  const decision = { behavior: "allow" as const, updatedPermissions: [MKDIR] };
  return { hookSpecificOutput: { hookEventName: "PermissionRequest", decision } };
};

const add = tool("add", "adds", { a: z.number(), b: z.number() }, async ({ a, b }) => ({
  content: [{ type: "text", text: String(a + b) }],
}));

const note: HookCallback = async (input) => {
  const { tool_response: _, tool_input: __, ...fields } = { tool_response: 0, tool_input: 0, ...input };
  hooked.push({ event: input.hook_event_name, ...shapeOf(fields) });
  return {};
};

/** Returns how a session ended. The SDK adds standard error only for processes that it spawns itself. */
async function outcome(session: BareSession): Promise<string> {
  const error = await session.ended;
  return (error?.message ?? "well").replace(/\. stderr: [\s\S]*/, "").replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID");
}

let api: MockApi;
beforeAll(async () => {
  api = await mockApi();
});
afterAll(() => api.stop());

describe("fakeClaude beside the real Claude Code", () => {
  test.each(scenarios)("behaves the same in: $name", async ({ options = () => ({}), replies, script, act }) => {
    api.clear();
    replies?.(api);
    const real = await observe({ env: { ...api.env }, cwd: api.cwd, ...options() }, act);
    const fake = fakeClaude(script);
    const faked = await observe({ spawnClaudeCodeProcess: fake.spawn, ...options() }, act);
    expect(fake.errors).toEqual([]);
    expect(fake.running).toEqual([]);
    expect(faked).toEqual(real);
  });

  test("has the same handshake", async () => {
    const fake = fakeClaude();
    await using real = new BareSession({ env: { ...api.env }, cwd: api.cwd });
    await using faked = new BareSession({ spawnClaudeCodeProcess: fake.spawn });
    expect(Object.keys(await faked.query.initializationResult())).toEqual(
      Object.keys(await real.query.initializationResult()),
    );
  });

  test.each(["SIGTERM", "SIGHUP", "SIGINT", "SIGKILL"] as const)("ends the same by %s in mid-turn", async (signal) => {
    api.clear();
    api.reply("slow", { text: "one two three four five six seven eight", tokensPerSecond: 20, pieceLength: 4 });
    const inMidTurn = async (session: BareSession, kill: () => void) => {
      session.send("slow");
      await session.next((message) => textDelta(message) !== undefined);
      kill();
      await session.ended;
    };
    const fake = fakeClaude(async (turn) => {
      await turn.partial("one ");
      await turn.hang();
    });
    const options = { includePartialMessages: true };
    const faked = await observe({ ...options, spawnClaudeCodeProcess: fake.spawn }, (session) =>
      inMidTurn(session, () => fake.processes[0]?.kill(signal)),
    );
    const real = await observe({ ...options, env: { ...api.env }, cwd: api.cwd }, async (session) => {
      const hello = await session.query.initializationResult();
      const pid = "pid" in hello && typeof hello.pid === "number" ? hello.pid : Number.NaN;
      await inMidTurn(session, () => process.kill(pid, signal));
    });
    // On SIGINT the real process exits while it still writes, so its output differs between runs.
    if (signal === "SIGINT") expect(faked.outcome).toBe(real.outcome);
    else expect(faked).toEqual(real);
  });

  test("adds a prompt that arrives while a tool runs to the turn", async () => {
    api.clear();
    api.reply("bash", { toolUses: [{ name: "Bash", input: { command: "echo hi" } }] });
    api.reply(({ toolResults }) => toolResults.length > 0, "done");
    const fake = fakeClaude(async (turn) => {
      await turn.toolUse("Bash", { command: "echo hi" });
      await turn.text("done");
    });
    const joined = async (options: Options) => {
      const inTool = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const hold: HookCallback = async () => {
        inTool.resolve();
        await release.promise;
        return {};
      };
      return await observe(
        {
          ...options,
          includePartialMessages: true,
          allowedTools: ["Bash"],
          hooks: { PreToolUse: [{ hooks: [hold] }] },
        },
        async (session) => {
          const first = session.send("bash");
          await inTool.promise;
          await session.next((message) => message.type === "stream_event" && message.event.type === "message_stop");
          const second = session.send("second");
          await session.next((message) => JSON.stringify(message).includes(second));
          release.resolve();
          expect(await session.result()).toMatchObject({ user_message_uuids: [first, second] });
          await session.end();
        },
      );
    };
    const real = await joined({ env: { ...api.env }, cwd: api.cwd });
    expect(await joined({ spawnClaudeCodeProcess: fake.spawn })).toEqual(real);
  });

  test("refuses a session id in use", async () => {
    const sessionId = randomUUID();
    const twice = async (options: Options) => {
      await observe({ ...options, sessionId }, async (session) => {
        await session.ask("hi");
        await session.end();
      });
      return await observe({ ...options, sessionId }, async (session) => {
        await session.query.initializationResult().catch(() => {});
        await session.ended;
      });
    };
    const fake = fakeClaude();
    api.clear();
    expect(await twice({ spawnClaudeCodeProcess: fake.spawn })).toEqual(
      await twice({ env: { ...api.env }, cwd: api.cwd }),
    );
  });

  async function observe(options: Options, act: Scenario["act"]): Promise<Observation> {
    hooked.length = 0;
    await using session = new BareSession(options);
    await act(session);
    return { messages: shapesOf(session.messages), hooks: hooked.slice(), outcome: await outcome(session) };
  }
});
