import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { query, Supervisor, stream } from "../../src/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";

let api: MockApi;

beforeAll(async () => {
  api = await mockApi();
});

afterAll(async () => {
  await api.stop();
});

describe("sessions on the real Claude Code", () => {
  it("answer by name, each in a conversation of its own", async () => {
    await using supervisor = await Supervisor.start([{ name: "left" }, { name: ["right", 1] }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    expect(supervisor.notStarted).toEqual([]);
    await Promise.all([query("left", "I am left."), query(["right", 1], "I am right.")]);
    const [left, right] = await Promise.all([
      query("left", "What did I just say?"),
      query(["right", 1], "What did I just say?"),
    ]);
    expect([left.text, right.text]).toEqual(["You just said: I am left.", "You just said: I am right."]);
    expect(left.sessionId).not.toBe(right.sessionId);
  });

  it("stream text as it is written", async () => {
    await using _ = await Supervisor.start([{ name: "streamed" }], { defaults: { env: api.env, cwd: api.cwd } });
    api.reply("count", "one, two, three, four, five, six, seven, eight");
    const turn = stream("streamed", "count");
    const pieces = await Array.fromAsync(turn.text());
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toBe("one, two, three, four, five, six, seven, eight");
    expect((await turn.result()).text).toBe(pieces.join(""));
  });

  it("get the system prompt, the model and the key of their options", async () => {
    vi.stubEnv("CASTELLAN_TEST_KEY", "sk-ant-from-a-variable");
    const { ANTHROPIC_API_KEY: _, ...env } = api.env;
    await using _supervisor = await Supervisor.start([
      {
        name: "shaped",
        systemPrompt: "You speak like a herald.",
        model: "claude-haiku-4-5",
        apiKey: { env: "CASTELLAN_TEST_KEY" },
        env,
        cwd: api.cwd,
      },
    ]);
    vi.unstubAllEnvs();
    await query("shaped", "hello");
    expect(api.lastRequest?.system).toContain("You speak like a herald.");
    expect(api.lastRequest?.model).toBe("claude-haiku-4-5");
    expect(api.lastRequest?.headers["x-api-key"]).toBe("sk-ant-from-a-variable");
  });

  it("answer the next turn after an interrupt", async () => {
    await using _ = await Supervisor.start([{ name: "stopped" }], { defaults: { env: api.env, cwd: api.cwd } });
    api.reply("forever", { text: "word ".repeat(500), tokensPerSecond: 10 });
    const turn = stream("stopped", "Talk forever.");
    for await (const text of turn.text()) {
      expect(text).not.toBe("");
      break;
    }
    await turn.interrupt();
    await expect(turn.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    expect((await query("stopped", "hello")).text).toContain("hello");
  });

  it("reject with TURN_TIMEOUT at the deadline, and answer the next turn on the same process", async () => {
    await using supervisor = await Supervisor.start([{ name: "late" }], { defaults: { env: api.env, cwd: api.cwd } });
    // An exact match, since the next prompt is sent together with this one if the deadline precedes the request.
    api.reply(/^Answer slowly\.$/, { text: "never", delayMs: 60_000 }, { times: 1 });
    await query("late", "First.");
    const { pid } = supervisor.session("late").status();
    const since = performance.now();
    await expect(query("late", "Answer slowly.", { timeout: 300 })).rejects.toMatchObject({ code: "TURN_TIMEOUT" });
    expect(performance.now() - since).toBeLessThan(1_500);
    expect((await query("late", "hello")).text).toContain("hello");
    expect(supervisor.session("late").status().pid).toBe(pid);
  });

  it("take a prompt of 1 MB, and reject with TURN_FAILED when it is too long for the model", async () => {
    await using _ = await Supervisor.start([{ name: "large" }, { name: "too-large" }], {
      defaults: { env: api.env, cwd: api.cwd },
    });
    api.reply(/^x/, ({ prompt }) => `That was ${prompt.length} characters.`);
    expect((await query("large", "x".repeat(1_000_000))).text).toBe("That was 1000000 characters.");
    await expect(query("too-large", "y".repeat(5_000_000))).rejects.toMatchObject({
      code: "TURN_FAILED",
      message: expect.stringContaining("Prompt is too long"),
    });
  });

  it("keep their conversation over a restart, and start a new one when it is cleared", async () => {
    await using supervisor = await Supervisor.start([{ name: "clear" }], { defaults: { env: api.env, cwd: api.cwd } });
    await query("clear", "Remember the keep.");
    await supervisor.restartSession("clear");
    expect((await query("clear", "What did I just say?")).text).toBe("You just said: Remember the keep.");
    const { conversationId } = supervisor.session("clear").status();
    await supervisor.restartSession("clear", { conversation: "clear" });
    await query("clear", "Anything?");
    expect(api.lastRequest?.messages.filter(({ role }) => role === "user")).toHaveLength(1);
    expect(supervisor.session("clear").status().conversationId).not.toBe(conversationId);
  });
});

describe("Supervisor.notStarted", () => {
  it("names each session that cannot start, with its reason, while the others start", async () => {
    const cwd = await mkdtemp(join(tmpdir(), "castellan-test-"));
    const missing = join(cwd, "missing");
    const warned: string[] = [];
    await using supervisor = await Supervisor.start(
      [
        { name: "no-directory", cwd: missing },
        { name: "no-binary", pathToClaudeCodeExecutable: missing },
        { name: "no-key", env: { ...api.env, ANTHROPIC_API_KEY: undefined } },
        { name: "no-variable", apiKey: { env: "CASTELLAN_TEST_UNSET" } },
        { name: "fine" },
      ],
      {
        defaults: { env: api.env, cwd: api.cwd },
        logger: { info: () => {}, warn: (line) => warned.push(line) },
      },
    );
    const reasons = Object.fromEntries(supervisor.notStarted.map(({ name, error }) => [String(name), error.message]));
    expect(Object.keys(reasons)).toEqual(["no-directory", "no-binary", "no-key", "no-variable"]);
    expect(reasons["no-directory"]).toContain(`the working directory ${missing} does not exist`);
    expect(reasons["no-binary"]).toContain(`the Claude Code binary ${missing} does not exist`);
    expect(reasons["no-key"]).toContain("no API key");
    expect(reasons["no-variable"]).toContain("CASTELLAN_TEST_UNSET");
    expect(warned).toHaveLength(4);

    expect((await query("fine", "hello")).text).toBe("You said: hello");
    await expect(query("no-directory", "hello")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
    await rm(cwd, { recursive: true });
  });
});
