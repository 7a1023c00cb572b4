import { createSdkMcpServer, tool } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { CastellanError, type ExitRecord, query, Supervisor, stream } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { processesWith } from "../real/processes.ts";

let api: MockApi;

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await api.stop();
});

/** Returns the pid of a session's process. */
function pidOf(supervisor: Supervisor, name: string): number {
  const { pid } = supervisor.session(name).status();
  if (pid === undefined) throw new Error(`${name} has no process`);
  return pid;
}

describe("a session whose Claude Code is killed", () => {
  it("resumes its conversation: the model gets each earlier message once", async () => {
    await using supervisor = await Supervisor.start([{ name: "resumed" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    await query("resumed", "My number is 17.");
    const { conversationId } = supervisor.session("resumed").status();

    process.kill(pidOf(supervisor, "resumed"), "SIGKILL");
    const reply = await query("resumed", "What did I just say?");

    expect(reply.text).toBe("You just said: My number is 17.");
    expect(reply.sessionId).toBe(conversationId);
    const said = api.lastRequest?.messages
      .filter(({ text }) => text !== "")
      .map(({ role, text }) => `${role}: ${text}`);
    expect(said).toEqual([
      "user: My number is 17.",
      "assistant: You said: My number is 17.",
      "user: What did I just say?",
    ]);
    expect(supervisor.session("resumed").status()).toMatchObject({
      starts: 2,
      restarts: 1,
      lastExit: { class: "crash", signal: "SIGKILL" },
    });
  });

  it("charges each turn its own cost, also right after the kill", async () => {
    await using supervisor = await Supervisor.start([{ name: "counted" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    api.reply(/./, { text: "Yes.", usage: { inputTokens: 1000, outputTokens: 100 } });
    const first = await query("counted", "one");
    const second = await query("counted", "two");
    process.kill(pidOf(supervisor, "counted"), "SIGKILL");
    const third = await query("counted", "three");
    for (const { usage, costUsd } of [first, second, third]) {
      expect(usage).toMatchObject({ inputTokens: 1000, outputTokens: 100 });
      expect(costUsd).toBeGreaterThan(0);
      expect(costUsd).toBeCloseTo(first.costUsd, 8);
    }
  });

  it("has its hooks and its in-process MCP server again", async () => {
    const hooked: string[] = [];
    const added: number[] = [];
    const add = tool("add", "Adds two numbers", { a: z.number(), b: z.number() }, async ({ a, b }) => {
      added.push(a + b);
      return { content: [{ type: "text", text: `sum ${a + b}` }] };
    });
    await using supervisor = await Supervisor.start(
      [
        {
          name: "handshake",
          allowedTools: ["mcp__sums__add"],
          mcpServers: { sums: createSdkMcpServer({ name: "sums", version: "1.0.0", tools: [add] }) },
          hooks: {
            PreToolUse: [
              {
                hooks: [
                  async (input) => {
                    if (input.hook_event_name === "PreToolUse") hooked.push(input.tool_name);
                    return {};
                  },
                ],
              },
            ],
          },
        },
      ],
      { defaults: { env: api.env, cwd: api.cwd } },
    );
    api.reply("add", { toolUses: [{ name: "mcp__sums__add", input: { a: 2, b: 3 } }] });
    api.reply(
      ({ toolResults }) => toolResults.length > 0,
      ({ toolResults }) => `The tool said ${toolResults[0]?.text}.`,
    );

    const before = await query("handshake", "Please add.");
    process.kill(pidOf(supervisor, "handshake"), "SIGKILL");
    const after = await query("handshake", "Please add again.");

    expect([before.text, after.text]).toEqual(["The tool said sum 5.", "The tool said sum 5."]);
    expect(added).toEqual([5, 5]);
    expect(hooked).toEqual(["mcp__sums__add", "mcp__sums__add"]);
  });

  it("retries a turn that had shown nothing, and the model sees its prompt once", async () => {
    await using supervisor = await Supervisor.start([{ name: "again" }], { defaults: { env: api.env, cwd: api.cwd } });
    await query("again", "first");
    api.reply("second", { text: "too late", delayMs: 60_000 }, { times: 1 });
    const turn = stream("again", "second");
    await api.requested(2);
    process.kill(pidOf(supervisor, "again"), "SIGKILL");

    expect((await turn.result()).text).toBe("You said: second");
    const prompts = api.lastRequest?.messages.filter(({ role }) => role === "user").map(({ text }) => text);
    expect(prompts?.filter((text) => text === "second")).toHaveLength(1);
    expect(prompts?.filter((text) => text === "first")).toHaveLength(1);
  });

  it("retries its first turn in a conversation of its own", async () => {
    await using supervisor = await Supervisor.start([{ name: "first" }], { defaults: { env: api.env, cwd: api.cwd } });
    api.reply("hello", { text: "too late", delayMs: 60_000 }, { times: 1 });
    const turn = stream("first", "hello");
    await api.requested(1);
    process.kill(pidOf(supervisor, "first"), "SIGKILL");

    expect((await turn.result()).text).toBe("You said: hello");
    expect((await query("first", "What did I just say?")).text).toBe("You just said: hello");
    const prompts = api.lastRequest?.messages.filter(({ role, text }) => role === "user" && text === "hello");
    expect(prompts).toHaveLength(1);
  });

  it("rejects a turn in mid-answer with the partial text, and keeps its prompt in the conversation", async () => {
    await using supervisor = await Supervisor.start([{ name: "cut" }], { defaults: { env: api.env, cwd: api.cwd } });
    await query("cut", "first");
    api.reply("long", { text: "one two three four five six seven eight nine ten", tokensPerSecond: 4 });
    const turn = stream("cut", "A long one, please.");
    let seen = "";
    const error = await (async () => {
      for await (const text of turn.text()) {
        if (seen === "") process.kill(pidOf(supervisor, "cut"), "SIGKILL");
        seen += text;
      }
    })().catch((error: unknown) => error);

    expect(CastellanError.is(error, "TURN_INTERRUPTED") && error.details).toMatchObject({
      turnId: turn.id,
      partialText: seen,
      toolUses: [],
      exit: { class: "crash", signal: "SIGKILL" } satisfies Partial<ExitRecord>,
    });
    expect(seen).not.toBe("");
    expect((await query("cut", "What did I just say?")).text).toBe("You just said: A long one, please.");
  });
});

describe("Supervisor.stop", () => {
  it("leaves no Claude Code process, and interrupts the running turn", async () => {
    const supervisor = await Supervisor.start([{ name: "end-1" }, { name: "end-2" }, { name: "end-3" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    await query("end-1", "hello");
    api.reply("busy", { text: "never", delayMs: 60_000 });
    const busy = stream("end-2", "busy");
    await api.requested(2);
    const mark = `CLAUDE_CONFIG_DIR=${api.env["CLAUDE_CONFIG_DIR"]}`;
    expect(processesWith(mark).length).toBeGreaterThanOrEqual(3);

    await supervisor.stop();

    expect(processesWith(mark)).toEqual([]);
    await expect(busy.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  });
});
