import { access } from "node:fs/promises";
import { dirname } from "node:path";
import type { Options } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { BareSession, kindOf, textDelta } from "../testing/bare-session.ts";

let api: MockApi;
const sessions: BareSession[] = [];

function session(options: Options = {}): BareSession {
  const started = new BareSession({ env: { ...api.env }, cwd: api.cwd, ...options });
  sessions.push(started);
  return started;
}

beforeEach(async () => {
  api = await mockApi();
});

afterEach(async () => {
  await Promise.all(sessions.splice(0).map((started) => started.end()));
  await api.stop();
});

describe("mockApi with the real Claude Code", () => {
  test("holds a conversation, and records all of it", async () => {
    const bare = session({ includePartialMessages: true });
    const first = await bare.ask("My cat is called Tom.");
    expect(first).toMatchObject({ is_error: false, result: "You said: My cat is called Tom." });
    expect(await bare.ask("What did I just say?")).toMatchObject({ result: "You just said: My cat is called Tom." });
    expect(bare.messages.filter((message) => textDelta(message) !== undefined).length).toBeGreaterThan(5);
    expect(first.total_cost_usd).toBeGreaterThan(0);

    expect(api.requests).toHaveLength(2);
    expect(api.lastRequest).toMatchObject({
      model: expect.stringContaining("claude"),
      prompt: "What did I just say?",
      sessionId: first.session_id,
      headers: { "x-api-key": "sk-ant-mock" },
      tools: expect.arrayContaining(["Bash"]),
      messages: [
        { role: "user", text: "My cat is called Tom." },
        { role: "assistant", text: "You said: My cat is called Tom." },
        { role: "user", text: "What did I just say?" },
      ],
    });
  });

  test("runs the tools that a reply uses", async () => {
    api.reply("list", { text: "Let me look.", toolUses: [{ name: "Bash", input: { command: "echo a$((1+1))b" } }] });
    const bare = session({ allowedTools: ["Bash"] });
    expect(await bare.ask("list it")).toMatchObject({ result: "The tool said: a2b", num_turns: 2 });
    expect(api.lastRequest?.toolResults).toMatchObject([{ text: "a2b" }]);
    expect(api.lastRequest?.messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool"]);
  });

  test("sends thinking, and the usage of a reply", async () => {
    api.reply(/./, { thinking: "hm", text: "42", usage: { inputTokens: 1000, outputTokens: 500 } });
    const bare = session();
    expect(await bare.ask("?")).toMatchObject({ result: "42", usage: { input_tokens: 1000, output_tokens: 500 } });
    expect(bare.messages.filter(({ type }) => type === "assistant")).toMatchObject([
      { message: { content: [{ type: "thinking", thinking: "hm" }] } },
      { message: { content: [{ type: "text" }] } },
    ]);
  });

  test("returns an error as often as it was set", async () => {
    api.reply("go", { error: { status: 529, message: "Overloaded" } }, { times: 1 });
    const bare = session();
    expect(await bare.ask("go")).toMatchObject({ is_error: true, api_error_status: 529, terminal_reason: "api_error" });
    expect(await bare.ask("now")).toMatchObject({ is_error: false, result: "You said: go\nnow" });
    expect(bare.messages.map(kindOf)).not.toContain("system/api_retry");
  });

  test("replies by a function, slowly, and until an interrupt", async () => {
    api.reply(
      ({ messages }) => messages.length === 1,
      async ({ prompt }) => ({ text: `${prompt} `.repeat(20), delayMs: 1, tokensPerSecond: 20, pieceLength: 4 }),
    );
    const bare = session({ includePartialMessages: true });
    bare.send("slow");
    expect(await api.requested(1)).toMatchObject({ prompt: "slow" });
    await bare.next((message) => textDelta(message) !== undefined);
    await bare.query.interrupt();
    expect(await bare.result()).toMatchObject({ terminal_reason: "aborted_streaming" });
  });

  test("cuts the connection in the middle of an answer", async () => {
    api.reply("go", { text: "never finished, not by far", cutAfter: 4 });
    const bare = session();
    expect(await bare.ask("go")).toMatchObject({ is_error: true });
  });
});

describe("mockApi", () => {
  test("prefers the latest reply, and forgets replies on clear", async () => {
    api.reply("x", "first");
    api.reply("x", "second");
    expect(await ask("x")).toBe("second");
    api.clear();
    expect(api.requests).toEqual([]);
    expect(await ask("x")).toBe("You said: x");
    expect(api.requests).toHaveLength(1);
  });

  test("records an error that a reply throws", async () => {
    api.reply("x", () => {
      throw new Error("wrong expectation");
    });
    expect(await stream("x")).toContain("wrong expectation");
    expect(api.errors).toMatchObject([{ message: "wrong expectation" }]);
  });

  test("stops in the middle of an answer", async () => {
    const own = await mockApi();
    own.reply(/./, { text: "slow", tokensPerSecond: 2 });
    const body = JSON.stringify({
      model: "m",
      max_tokens: 1,
      stream: true,
      messages: [{ role: "user", content: "x" }],
    });
    const answer = fetch(`${own.url}/v1/messages`, { method: "POST", body }).catch((error: unknown) => error);
    await own.requested(1);
    await own.stop();
    expect(await answer).toBeInstanceOf(Error);
  });

  test("paces each of many concurrent answers separately", async () => {
    api.reply("short", { text: "abcdef", pieceLength: 1 });
    api.reply("long", { text: "abcdef", pieceLength: 6 });
    const prompts = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? "short" : "long"));
    const deltas = await Promise.all(
      prompts.map(async (prompt) => (await stream(prompt)).match(/text_delta/g)?.length),
    );
    expect(deltas).toEqual(prompts.map((prompt) => (prompt === "short" ? 6 : 1)));
  });

  test("does not record side requests", async () => {
    const response = await fetch(`${api.url}/v1/messages/count_tokens`, { method: "POST", body: "{}" });
    expect(await response.json()).toEqual({ input_tokens: 1 });
    expect(api.requests).toEqual([]);
  });

  test("removes its directories when it stops, and may stop twice", async () => {
    const own = await mockApi();
    await access(own.cwd);
    await own.stop();
    await own.stop();
    await expect(access(dirname(own.cwd))).rejects.toThrow("ENOENT");
    await expect(fetch(own.url)).rejects.toThrow();
  });

  async function stream(prompt: string): Promise<string> {
    const messages = [{ role: "user", content: prompt }];
    const response = await fetch(`${api.url}/v1/messages`, {
      method: "POST",
      body: JSON.stringify({ model: "claude-test", max_tokens: 10, stream: true, messages }),
    });
    return await response.text();
  }

  async function ask(prompt: string): Promise<string> {
    const pieces = [...(await stream(prompt)).matchAll(/"text_delta","text":"([^"]*)"/g)];
    return pieces.map(([, text]) => text).join("");
  }
});
