import { randomUUID } from "node:crypto";
import {
  createSdkMcpServer,
  type HookCallback,
  type Options,
  type SDKMessage,
  tool,
} from "@anthropic-ai/claude-agent-sdk";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type FakeClaude, type FakeClaudeOptions, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { BareSession, kindOf, textDelta } from "./bare-session.ts";

let fake: FakeClaude;
const sessions: BareSession[] = [];

function begin(script?: FakeScript, options?: FakeClaudeOptions): FakeClaude {
  fake = fakeClaude(script, options);
  return fake;
}

function session(options: Options = {}): BareSession {
  const started = new BareSession({ spawnClaudeCodeProcess: fake.spawn, ...options });
  sessions.push(started);
  return started;
}

afterEach(async () => {
  for (const process of fake.running) process.kill("SIGKILL");
  await Promise.all(sessions.splice(0).map((session) => session[Symbol.asyncDispose]()));
});

const isResult = (message: SDKMessage) => message.type === "result";

describe("a turn of the fake", () => {
  test("echoes the prompt, with the messages of the real Claude Code", async () => {
    begin();
    const bare = session();
    const uuid = bare.send("hello");
    const result = await bare.result();
    expect(result).toMatchObject({
      subtype: "success",
      is_error: false,
      result: "You said: hello",
      total_cost_usd: 0.01,
      terminal_reason: "completed",
      user_message_uuid: uuid,
      user_message_uuids: [uuid],
      session_id: fake.processes[0]?.sessionId,
    });
    expect(await bare.end()).toBeUndefined();
    expect(fake.processes[0]).toMatchObject({ state: "exited", exit: { code: 0, signal: null }, prompts: ["hello"] });
    expect(bare.messages.map(kindOf)).toEqual([
      "command_lifecycle",
      "command_lifecycle",
      "system/init",
      "assistant",
      "result/success",
      "command_lifecycle",
    ]);
  });

  test("streams partial messages to a session that includes them", async () => {
    begin((turn) => turn.text("abcdefghij", { partials: 5 }));
    const bare = session({ includePartialMessages: true });
    await bare.ask("go");
    expect(bare.messages.map(textDelta).filter((text) => text !== undefined)).toEqual(["ab", "cd", "ef", "gh", "ij"]);
  });

  test("merges partial texts and the next text into one message", async () => {
    begin(async (turn) => {
      await turn.partial("one ");
      await turn.partial("two ");
      await turn.text("three");
    });
    const bare = session();
    expect(await bare.ask("go")).toMatchObject({ result: "one two three" });
    expect(bare.messages.filter(({ type }) => type === "assistant")).toHaveLength(1);
  });

  test("sends thinking blocks", async () => {
    begin(async (turn) => {
      await turn.thinking("hm");
      await turn.text("done");
    });
    const bare = session();
    expect(await bare.ask("go")).toMatchObject({ result: "done" });
    expect(bare.messages.find(({ type }) => type === "assistant")).toMatchObject({
      message: { content: [{ type: "thinking", thinking: "hm" }] },
    });
  });

  test("accumulates cost and tokens over turns and a resume", async () => {
    begin(undefined, { costPerTurnUsd: 0.5 });
    const sessionId = randomUUID();
    const first = session({ sessionId });
    expect(await first.ask("one")).toMatchObject({ total_cost_usd: 0.5, result_index: 0 });
    expect(await first.ask("two")).toMatchObject({ total_cost_usd: 1, result_index: 1 });
    await first.end();
    const second = session({ resume: sessionId });
    const result = await second.ask("three");
    expect(result).toMatchObject({ total_cost_usd: 1.5, session_id: sessionId });
    expect(result.modelUsage["claude-opus-5-5"]?.costUSD).toBe(1.5);
  });

  test("ends with the result that its script gives", async () => {
    begin((turn) =>
      turn.result({
        subtype: "error_max_turns",
        errors: ["Reached maximum number of turns (1)"],
        costUsd: 2,
        usage: { inputTokens: 7, outputTokens: 9 },
      }),
    );
    expect(await session().ask("go")).toMatchObject({
      subtype: "error_max_turns",
      is_error: true,
      terminal_reason: "max_turns",
      errors: ["Reached maximum number of turns (1)"],
      total_cost_usd: 2,
      usage: { input_tokens: 7, output_tokens: 9 },
    });
  });

  test("has structured output", async () => {
    begin((turn) => turn.result({ text: "{}", structuredOutput: { a: 1 } }));
    expect(await session().ask("go")).toMatchObject({ structured_output: { a: 1 } });
  });

  test("merges queued prompts into one turn", async () => {
    const open = Promise.withResolvers<void>();
    begin(async (turn) => {
      if (turn.index === 0) await open.promise;
      await turn.text(turn.prompt);
    });
    const bare = session();
    bare.send("one");
    await fake.prompted(1);
    const second = bare.send("two");
    const third = bare.send("three");
    await fake.prompted(3);
    open.resolve();
    expect(await bare.result()).toMatchObject({ result: "one", queued_turn_count: 2 });
    expect(await bare.result()).toMatchObject({
      result: "two\nthree",
      user_message_uuid: third,
      user_message_uuids: [second, third],
    });
  });

  test("may send messages after its result", async () => {
    begin((turn) => {
      turn.afterResult(() => turn.emit({ type: "system", subtype: "background_tasks_changed", tasks: [] }));
    });
    const bare = session();
    await bare.ask("go");
    await bare.next((message) => kindOf(message) === "system/background_tasks_changed");
  });

  test("has the earlier messages in its history", async () => {
    begin(async (turn) => {
      await turn.text(turn.history.map(({ role, text }) => `${role}: ${text}`).join("; "));
    });
    const bare = session();
    await bare.ask("one");
    expect(await bare.ask("two")).toMatchObject({ result: "user: one; assistant: " });
  });
});

describe("tools, hooks and permissions of the fake", () => {
  test("call the session's hooks, and return a denial as the tool's result", async () => {
    begin(async (turn) => {
      await turn.toolUse("Bash", { command: "ls" }, { result: "a file" });
      await turn.toolUse("Write", { file_path: "/x" }, { result: "written" });
      await turn.text("done");
    });
    const seen: string[] = [];
    const note: HookCallback = async (input) => {
      seen.push("tool_name" in input ? input.tool_name : input.hook_event_name);
      return {};
    };
    const bare = session({
      hooks: {
        UserPromptSubmit: [{ hooks: [note] }],
        PreToolUse: [
          {
            matcher: "Write",
            hooks: [
              async () => ({
                hookSpecificOutput: {
                  hookEventName: "PreToolUse",
                  permissionDecision: "deny",
                  permissionDecisionReason: "not today",
                },
              }),
            ],
          },
        ],
        PostToolUse: [{ hooks: [note] }],
        Stop: [{ hooks: [note] }],
      },
    });
    const result = await bare.ask("go");
    expect(seen).toEqual(["UserPromptSubmit", "Bash", "Stop"]);
    expect(result).toMatchObject({ result: "done", num_turns: 3, permission_denials: [{ tool_name: "Write" }] });
    const results = bare.messages.filter((message) => message.type === "user").map(({ message }) => message.content);
    expect(results).toMatchObject([
      [{ type: "tool_result", content: "a file" }],
      [{ type: "tool_result", content: "PreToolUse:Write hook error: not today", is_error: true }],
    ]);
  });

  test("return the output of a hook", async () => {
    const outputs: unknown[] = [];
    begin(async (turn) => {
      outputs.push(...(await turn.hook("Notification", { message: "hi" })));
    });
    const bare = session({ hooks: { Notification: [{ hooks: [async () => ({ systemMessage: "seen" })] }] } });
    await bare.ask("go");
    expect(outputs).toEqual([{ systemMessage: "seen" }]);
  });

  test("ignore a hook that throws", async () => {
    begin(async (turn) => {
      await turn.toolUse("Bash", {}, { result: "ran" });
    });
    const bare = session({
      hooks: {
        PreToolUse: [
          {
            hooks: [
              async () => {
                throw new Error("broken hook");
              },
            ],
          },
        ],
      },
    });
    expect(await bare.ask("go")).toMatchObject({ is_error: false, permission_denials: [] });
    expect(bare.messages.map(kindOf)).toContain("system/informational");
  });

  test("run the tools of in-process MCP servers", async () => {
    let returned: unknown;
    begin(async (turn) => {
      returned = await turn.callTool("sums", "add", { a: 1, b: 2 });
    });
    const add = tool("add", "adds", { a: z.number(), b: z.number() }, async ({ a, b }) => ({
      content: [{ type: "text", text: String(a + b) }],
    }));
    const bare = session({ mcpServers: { sums: createSdkMcpServer({ name: "sums", tools: [add] }) } });
    await bare.ask("go");
    expect(returned).toMatchObject({ content: [{ type: "text", text: "3" }] });
    expect(await bare.query.mcpServerStatus()).toMatchObject([{ name: "sums", status: "connected" }]);
    expect(bare.messages.find((message) => kindOf(message) === "system/init")).toMatchObject({
      tools: expect.arrayContaining(["mcp__sums__add"]),
    });
  });

  test("ask canUseTool, and follow its decision", async () => {
    const decisions: unknown[] = [];
    begin(async (turn) => {
      decisions.push(await turn.askPermission("Bash", { command: "ls" }));
      decisions.push(await turn.askPermission("Write", {}));
    });
    const bare = session({
      canUseTool: async (name, input) =>
        name === "Bash" ? { behavior: "allow", updatedInput: input } : { behavior: "deny", message: "no" },
    });
    expect(await bare.ask("go")).toMatchObject({ permission_denials: [{ tool_name: "Write" }] });
    expect(decisions).toMatchObject([
      { behavior: "allow", updatedInput: { command: "ls" } },
      { behavior: "deny", message: "no" },
    ]);
  });

  test("stop the turn when canUseTool interrupts", async () => {
    begin(async (turn) => {
      await turn.toolUse("Write", {}, { ask: true, result: "written" });
      await turn.text("never said");
    });
    const bare = session({ canUseTool: async () => ({ behavior: "deny", message: "no", interrupt: true }) });
    expect(await bare.ask("go")).toMatchObject({ terminal_reason: "aborted_tools", permission_denials: [{}] });
    expect(await bare.end()).toBeInstanceOf(Error);
    expect(bare.messages.filter(({ type }) => type === "assistant")).toHaveLength(1);
    expect(fake.errors).toEqual([]);
  });

  test("deny permission without a canUseTool", async () => {
    begin(async (turn) => {
      await turn.toolUse("Write", {}, { ask: true, result: "written" });
    });
    const bare = session();
    expect(await bare.ask("go")).toMatchObject({ permission_denials: [{ tool_name: "Write" }] });
    expect(bare.messages.map(kindOf)).toContain("system/permission_denied");
  });
});

describe("an interrupt of the fake", () => {
  test("stops a text in its middle", async () => {
    begin(async (turn) => {
      await turn.partial("half of ");
      await turn.hang();
    });
    const bare = session({ includePartialMessages: true });
    const uuid = bare.send("go");
    await bare.next((message) => textDelta(message) !== undefined);
    expect(await bare.query.interrupt()).toEqual({ still_queued: [] });
    const aborted = await bare.next((message) => message.type === "assistant");
    expect(aborted).toMatchObject({ aborted: true, message: { content: [{ type: "text", text: "half of " }] } });
    expect(await bare.result()).toMatchObject({
      subtype: "error_during_execution",
      terminal_reason: "aborted_streaming",
      is_error: true,
      user_message_uuid: uuid,
    });
    expect(fake.transcript(fake.processes[0]?.sessionId ?? "").map(({ text }) => text)).toEqual([
      "go",
      "half of ",
      "[Request interrupted by user]",
    ]);
    expect(fake.errors).toEqual([]);
  });

  test("leaves the process alive for the next turn, and makes it exit with 1 at the end of input", async () => {
    begin((turn) => (turn.prompt === "stop" ? turn.hang() : turn.text("fine")));
    const bare = session();
    bare.send("stop");
    await fake.prompted(1);
    await bare.query.interrupt();
    await bare.result();
    expect(await bare.ask("again")).toMatchObject({ result: "fine" });
    bare.send("stop");
    await fake.prompted(3);
    await bare.query.interrupt();
    await bare.result();
    expect(await bare.end()).toMatchObject({ message: "Claude Code process exited with code 1" });
  });

  test("aborts a pending canUseTool", async () => {
    begin((turn) => turn.toolUse("Write", {}, { ask: true }).then(() => {}));
    const asked = Promise.withResolvers<AbortSignal>();
    const bare = session({
      canUseTool: (_name, _input, { signal }) => {
        asked.resolve(signal);
        return new Promise(() => {});
      },
    });
    bare.send("go");
    const signal = await asked.promise;
    await bare.query.interrupt();
    expect(signal.aborted).toBe(true);
    expect(await bare.result()).toMatchObject({ terminal_reason: "aborted_tools" });
  });

  test("leaves an idle process unchanged", async () => {
    begin();
    const bare = session();
    expect(await bare.query.interrupt()).toEqual({ still_queued: [] });
    expect(await bare.ask("hi")).toMatchObject({ result: "You said: hi" });
  });

  test("is ignored with ignoreInterrupt", async () => {
    const open = Promise.withResolvers<void>();
    begin(
      async (turn) => {
        await open.promise;
        await turn.text("finished anyway");
      },
      { ignoreInterrupt: true },
    );
    const bare = session();
    bare.send("go");
    await fake.prompted(1);
    await bare.query.interrupt();
    open.resolve();
    expect(await bare.result()).toMatchObject({ result: "finished anyway" });
  });
});

describe("the exit of a fake process", () => {
  const slow: FakeScript = async (turn) => {
    await turn.partial("some");
    await turn.hang();
  };

  test.each([
    ["SIGTERM", 143, null, "exited with code 143"],
    ["SIGHUP", 129, null, "exited with code 129"],
    ["SIGKILL", null, "SIGKILL", "terminated by signal SIGKILL"],
  ] as const)("follows %s in mid-turn", async (signal, code, by, said) => {
    begin(slow);
    const bare = session();
    bare.send("go");
    const { process } = await fake.prompted(1);
    process.kill(signal);
    expect(await process.exited).toEqual({ code, signal: by });
    expect((await bare.ended)?.message).toContain(said);
    expect(bare.messages.some(isResult)).toBe(false);
    expect(process.signals).toEqual([signal]);
    expect(fake.running).toEqual([]);
    expect(fake.transcript(process.sessionId).map(({ text }) => text)).toEqual(["go"]);
  });

  test("follows a crash in its script", async () => {
    begin((turn) => turn.crash({ code: 7, stderr: "boom\n" }));
    const bare = session();
    bare.send("go");
    expect((await bare.ended)?.message).toBe("Claude Code process exited with code 7");
    expect(fake.errors).toEqual([]);
  });

  test("has code 0 and no result when the script exits with 0", async () => {
    begin((turn) => turn.exit(0));
    const bare = session();
    bare.send("go");
    await bare.ended;
    expect(bare.messages.some(isResult)).toBe(false);
    expect(fake.processes[0]?.exit).toEqual({ code: 0, signal: null });
  });

  test("follows an error in its script, which it records", async () => {
    begin(() => {
      throw new Error("wrong expectation");
    });
    const bare = session();
    bare.send("go");
    expect((await bare.ended)?.message).toContain("exited with code 1");
    expect(fake.errors).toMatchObject([{ message: "wrong expectation" }]);
  });

  test("waits for the turn after the end of input", async () => {
    const open = Promise.withResolvers<void>();
    begin(async (turn) => {
      await open.promise;
      await turn.text("finished");
    });
    const bare = session();
    bare.send("go");
    await fake.prompted(1);
    const ended = bare.end();
    open.resolve();
    expect(await ended).toBeUndefined();
    expect(bare.messages.find(isResult)).toMatchObject({ result: "finished" });
  });

  test("requires SIGKILL when it ignores the end of input and SIGTERM", async () => {
    begin(undefined, { endOfInput: "ignore", ignoreSigterm: true });
    const bare = session();
    await bare.ask("hi");
    const ended = bare.end();
    const [process] = fake.processes;
    process?.kill("SIGTERM");
    expect(fake.running).toEqual([process]);
    process?.kill("SIGKILL");
    await ended;
    expect(process?.signals).toEqual(["SIGTERM", "SIGKILL"]);
  });

  test("is visible to its spawner, with its standard error", async () => {
    begin((turn) => turn.crash({ code: 3, stderr: "last words" }));
    const stderr = Promise.withResolvers<string>();
    const exit = Promise.withResolvers<unknown>();
    const bare = session({
      spawnClaudeCodeProcess: (options) => {
        const child = fake.spawn(options);
        child.on("exit", (code, signal) => exit.resolve([child.pid, code, signal]));
        let text = "";
        child.stderr.on("data", (chunk) => {
          text += chunk;
        });
        child.stderr.on("end", () => stderr.resolve(text));
        return child;
      },
    });
    bare.send("go");
    expect(await stderr.promise).toBe("last words");
    expect(await exit.promise).toEqual([10_000_000, 3, null]);
  });
});

describe("the start of a fake process", () => {
  test("can be delayed per process, and started(n) resolves in order of readiness", async () => {
    const open = Promise.withResolvers<void>();
    begin(undefined, { startup: (_process, n) => (n === 1 ? open.promise : undefined) });
    const slow = session();
    const quick = session();
    expect(await fake.started(1)).toBe(fake.processes[1]);
    expect(await quick.ask("hi")).toMatchObject({ result: "You said: hi" });
    open.resolve();
    expect(await fake.started(2)).toBe(fake.processes[0]);
    expect(await slow.ask("ho")).toMatchObject({ result: "You said: ho" });
  });

  test("can crash", async () => {
    begin(undefined, { startup: (process) => process.crash({ code: 2 }) });
    const bare = session();
    await expect(bare.query.initializationResult()).rejects.toThrow("exited with code 2");
  });

  test("can fail with a startup failure reason", async () => {
    begin(undefined, { startup: (process) => process.failStart("no such directory", "cwd_unavailable") });
    const bare = session();
    await expect(bare.query.initializationResult()).rejects.toThrow("no such directory");
    await bare.ended;
    expect(bare.messages).toMatchObject([
      { type: "result", subtype: "error_during_execution", startup_failure_reason: "cwd_unavailable" },
    ]);
  });

  test("records its arguments, environment and handshake", async () => {
    begin();
    const bare = session({
      cwd: "/somewhere",
      env: { TOKEN: "x" },
      model: "claude-haiku-4-5",
      systemPrompt: "be brief",
      agents: { helper: { description: "helps", prompt: "help" } },
    });
    const answer = await bare.query.initializationResult();
    const process = await fake.started(1);
    expect(process).toMatchObject({
      cwd: "/somewhere",
      model: "claude-haiku-4-5",
      permissionMode: "default",
      pid: 10_000_000,
    });
    expect(process.env["TOKEN"]).toBe("x");
    expect(process.args).toContain("--model=claude-haiku-4-5");
    expect(process.initialize).toMatchObject({ systemPrompt: ["be brief"] });
    expect(answer.agents.map(({ name }) => name)).toContain("helper");
  });
});

describe("a conversation of the fake", () => {
  const history: FakeScript = (turn) => turn.text(turn.history.map(({ text }) => text).join("|"));

  test("is resumed by another process", async () => {
    begin(history);
    const sessionId = randomUUID();
    const first = session({ sessionId });
    await first.ask("one");
    fake.processes[0]?.kill("SIGKILL");
    await first.ended;
    const second = session({ resume: sessionId });
    expect(await second.ask("two")).toMatchObject({ result: "one|", session_id: sessionId });
    expect(fake.processes[1]).toMatchObject({ resumedFrom: sessionId, sessionId });
  });

  test("keeps the prompt of a cut turn", async () => {
    begin((turn) => (turn.prompt === "die" ? turn.crash({ signal: "SIGKILL" }) : history(turn)));
    const sessionId = randomUUID();
    const first = session({ sessionId });
    first.send("die");
    await first.ended;
    const second = session({ resume: sessionId });
    expect(await second.ask("two")).toMatchObject({ result: "die|No response requested." });
  });

  test("is cut back to a message by resumeSessionAt", async () => {
    begin(history);
    const sessionId = randomUUID();
    const first = session({ sessionId });
    await first.ask("one");
    const answer = first.messages.find(({ type }) => type === "assistant");
    await first.ask("two");
    await first.end();
    const second = session({ resume: sessionId, resumeSessionAt: answer?.uuid ?? "" });
    expect(await second.ask("three")).toMatchObject({ result: "one|" });
    expect(fake.transcript(sessionId).map(({ text }) => text)).toEqual(["one", "", "three", "one|"]);
  });

  test("is forked with an id of its own", async () => {
    begin(history);
    const sessionId = randomUUID();
    const forkId = randomUUID();
    const first = session({ sessionId });
    await first.ask("one");
    const fork = session({ resume: sessionId, forkSession: true, sessionId: forkId });
    expect(await fork.ask("two")).toMatchObject({ result: "one|", session_id: forkId });
    expect(fake.transcript(sessionId)).toHaveLength(2);
    expect(fake.transcript(forkId)).toHaveLength(4);
  });

  test("is continued only in its directory", async () => {
    begin(history);
    const first = session({ cwd: "/a" });
    await first.ask("one");
    await first.end();
    const second = session({ cwd: "/a", continue: true });
    expect(await second.ask("two")).toMatchObject({ result: "one|" });
    const elsewhere = session({ cwd: "/b", continue: true });
    expect(await elsewhere.ask("three")).toMatchObject({ result: "" });
  });

  test("cannot be started twice under one id", async () => {
    begin();
    const sessionId = randomUUID();
    const first = session({ sessionId });
    await first.ask("one");
    const second = session({ sessionId });
    await expect(second.query.initializationResult()).rejects.toThrow("exited with code 1");
    expect(fake.processes[1]?.exit).toEqual({ code: 1, signal: null });
  });

  test("does not exist before its first prompt", async () => {
    begin();
    const sessionId = randomUUID();
    const first = session({ sessionId });
    await first.query.initializationResult();
    await first.end();
    const again = session({ sessionId });
    expect(await again.ask("one")).toMatchObject({ is_error: false });
  });

  test("cannot be resumed under an unknown id", async () => {
    begin();
    const unknown = randomUUID();
    const bare = session({ resume: unknown });
    await expect(bare.query.initializationResult()).rejects.toThrow(
      `No conversation found with session ID: ${unknown}`,
    );
    expect((await bare.ended)?.message).toContain("No conversation found");
    expect(fake.processes[0]?.exit).toEqual({ code: 1, signal: null });
  });

  test("gets a new id by /clear", async () => {
    begin(history);
    const sessionId = randomUUID();
    const bare = session({ sessionId });
    await bare.ask("one");
    const cleared = await bare.ask("/clear");
    const reset = bare.messages.find(({ type }) => type === "conversation_reset");
    expect(reset).toMatchObject({ trigger: "clear", session_id: sessionId });
    expect(cleared).toMatchObject({ local_command: "clear", num_turns: 0, total_cost_usd: 0 });
    expect(cleared.session_id).not.toBe(sessionId);
    expect(await bare.ask("two")).toMatchObject({ result: "", session_id: cleared.session_id });
    expect(fake.processes[0]?.sessionId).toBe(cleared.session_id);
    await bare.end();
    const resumed = session({ resume: cleared.session_id });
    expect(await resumed.ask("three")).toMatchObject({ result: "two|" });
  });
});

describe("commands of the fake", () => {
  const how: FakeScript = (turn) => turn.text(`${turn.verbatim ? "text" : "typed"}: ${turn.prompt}`);

  test("run for a typed message only, not for a client-composed one", async () => {
    begin(how);
    const bare = session();
    for (const prompt of ["/clear", "/compact", "/greet Ada"]) {
      const result = await bare.ask(prompt, { client_composed: true });
      expect(result).toMatchObject({ result: `text: ${prompt}` });
      expect(result).not.toHaveProperty("local_command");
    }
    expect(await bare.ask("/greet Ada")).toMatchObject({ result: "typed: /greet Ada" });
    expect(await bare.ask(" /clear")).toMatchObject({ result: "typed:  /clear" });
    expect(await bare.ask("/new")).toMatchObject({ local_command: "clear" });
  });

  test("replace the history by a summary with /compact, and drop the messages before it", async () => {
    begin((turn) => turn.text(turn.history.map(({ text }) => text).join("|")));
    const bare = session();
    await bare.ask("one");
    const [first] = fake.transcript(fake.processes[0]?.sessionId ?? "");
    const compacted = await bare.ask("/compact keep the names");
    expect(compacted).toMatchObject({ local_command: "compact", result: "", total_cost_usd: 0.02 });
    expect(await bare.ask("two")).toMatchObject({ result: "user: one\nassistant: " });
    await bare.end();
    const cut = session({ resume: compacted.session_id, ...(first && { resumeSessionAt: first.uuid }) });
    await expect(cut.query.initializationResult()).rejects.toThrow("No message found");
  });

  test("are listed in the handshake", async () => {
    begin(how, { commands: ["greet"] });
    const names = (await session().query.supportedCommands()).map(({ name }) => name);
    expect(names).toEqual(["clear", "compact", "greet"]);
  });
});

describe("control requests of the fake", () => {
  test("change the model and the permission mode", async () => {
    begin();
    const bare = session();
    await bare.query.setModel("claude-haiku-4-5");
    await bare.query.setPermissionMode("acceptEdits");
    await bare.query.setMaxThinkingTokens(100);
    const result = await bare.ask("hi");
    expect(Object.keys(result.modelUsage)).toEqual(["claude-haiku-4-5"]);
    expect(fake.processes[0]).toMatchObject({ model: "claude-haiku-4-5", permissionMode: "acceptEdits" });
  });

  test("return the usage of the context", async () => {
    begin();
    const bare = session();
    await bare.ask("x".repeat(400));
    const usage = await bare.query.getContextUsage();
    expect(usage.totalTokens).toBeGreaterThan(100);
    expect(usage.maxTokens).toBe(200_000);
  });

  test("wait while the process is frozen", async () => {
    begin();
    const bare = session();
    await bare.ask("hi");
    const [process] = fake.processes;
    process?.kill("SIGSTOP");
    let answered = false;
    const status = bare.query.mcpServerStatus().then(() => {
      answered = true;
    });
    bare.send("while frozen");
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    expect(process?.prompts).toEqual(["hi"]);
    process?.kill("SIGCONT");
    await status;
    expect(await bare.result()).toMatchObject({ result: "You said: while frozen" });
  });

  test("drop the pending output of a frozen process that is killed", async () => {
    const open = Promise.withResolvers<void>();
    begin(async (turn) => {
      await turn.text("before");
      await open.promise;
      await turn.text("after");
    });
    const bare = session();
    bare.send("go");
    await bare.next(({ type }) => type === "assistant");
    const [process] = fake.processes;
    process?.freeze();
    open.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    process?.kill("SIGKILL");
    await bare.ended;
    expect(bare.messages.map(kindOf).slice(-1)).toEqual(["assistant"]);
  });

  test("kill a frozen process with SIGKILL only", async () => {
    begin();
    const bare = session();
    await bare.ask("hi");
    const [process] = fake.processes;
    process?.freeze();
    process?.kill("SIGTERM");
    expect(process?.state).toBe("running");
    process?.kill("SIGKILL");
    expect(process?.exit).toEqual({ code: null, signal: "SIGKILL" });
    await bare.ended;
  });
});

describe("API errors of the fake", () => {
  test.each([
    [401, "authentication_failed", "Failed to authenticate. API Error: 401 invalid x-api-key"],
    [429, "rate_limit", /^API Error: Request rejected \(429\) · Rate limited$/],
    [529, "server_error", /^API Error: 529 Overloaded\. This is a server-side issue/],
  ])("have the messages of the real ones for status %d", async (status, error, text) => {
    begin((turn) => turn.fail({ status, retries: 2 }));
    const bare = session();
    const result = await bare.ask("go");
    expect(result).toMatchObject({
      subtype: "success",
      is_error: true,
      api_error_status: status,
      terminal_reason: "api_error",
      total_cost_usd: 0,
      result: expect.stringMatching(text),
    });
    expect(bare.messages.find(({ type }) => type === "assistant")).toMatchObject({
      error,
      message: { model: "<synthetic>" },
    });
    expect(bare.messages.filter((message) => kindOf(message) === "system/api_retry")).toHaveLength(2);
    expect(await bare.end()).toMatchObject({ message: "Claude Code process exited with code 1" });
  });

  test("have the messages of a failed connection without a status", async () => {
    begin((turn) => turn.fail({}));
    expect(await session().ask("go")).toMatchObject({
      is_error: true,
      api_error_status: null,
      api_error: "connection_failed",
    });
  });
});

describe("large output of the fake", () => {
  test("applies backpressure to 100,000 partial messages with a slow reader", async () => {
    const pieces = 100_000;
    let ahead = 0;
    let said = 0;
    let read = 0;
    begin(async (turn) => {
      for (let i = 0; i < pieces; i++) {
        said += 1;
        ahead = Math.max(ahead, said - read);
        await turn.partial("x");
      }
    });
    const bare = session({ includePartialMessages: true });
    bare.send("go");
    for (read = 0; read < pieces; read++) await bare.next((message) => textDelta(message) !== undefined);
    expect(await bare.result()).toMatchObject({ result: "x".repeat(pieces) });
    expect(ahead).toBeLessThan(pieces / 2);
  });

  test("passes a line of 20 MB", async () => {
    begin((turn) => turn.text("y".repeat(20_000_000), { partials: false }));
    const result = await session().ask("go");
    expect(result.subtype === "success" ? result.result.length : 0).toBe(20_000_000);
  });

  test("passes a prompt of 5 MB", async () => {
    begin((turn) => turn.text(String(turn.prompt.length)));
    expect(await session().ask("é".repeat(5_000_000))).toMatchObject({ result: "5000000" });
  });

  test("survives raw lines that are not JSON, half lines, NUL and invalid bytes", async () => {
    begin(async (turn) => {
      await turn.raw("this is not JSON");
      await turn.raw('{"type":"half');
      await turn.raw(Buffer.from([0, 10, 255, 254, 10]));
      await turn.text("still here");
    });
    expect(await session().ask("go")).toMatchObject({ result: "still here" });
  });
});
