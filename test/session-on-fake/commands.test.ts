import { createSdkMcpServer } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { command, pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeClaudeOptions, type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { readUI } from "../session/ui-messages.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { collect, eventually, failure, Scene, ticks, unique, within } from "./scene.ts";

const COMPACTED = "The conversation has been compacted.";
const greets: FakeClaudeOptions = { commands: ["greet", "acme:review"] };
const echo: FakeScript = (turn) => turn.text(`${turn.prompt} after ${turn.history.length}`);

test("command(): runs as a turn that queues, costs, is journaled and can be looked up", async () => {
  await using scene = await Scene.open({ script: echo, fake: greets });
  const { session } = scene;
  const before = session.query("hi");
  const id = await session.enqueue(command("greet", "Ada\nand Bob"), { idempotencyKey: "k" });
  await before;
  const reply = await (await session.turn(id))?.result();
  expect(reply).toMatchObject({ text: "/greet Ada\nand Bob after 2", turnId: id, costUsd: 0.01 });
  expect(reply).not.toHaveProperty("command");
  expect(await session.query(command("greet", "Ada\nand Bob"), { idempotencyKey: "k" })).toEqual(reply);
  expect((await session.query(command("acme:review"))).text).toBe("/acme:review after 4");
});

test("command(): rejects a command that the process does not know with COMMAND_NOT_FOUND and sends it nowhere", async () => {
  const both = { fake: fakeClaude(echo, greets), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const session = first.session(name);
  const turn = session.stream(command("great", "Ada"), { idempotencyKey: "k" });
  const next = session.query("next");
  const error = await failure(turn.result(), "COMMAND_NOT_FOUND");
  expect(error.details).toEqual({ command: "great", nearMisses: ["greet"] });
  expect(error.message).toContain(
    'knows no command or skill "great", see `supportedCommands()`; did you mean `greet`?',
  );
  expect([turn.state, turn.touched]).toEqual(["failed", false]);
  expect((await next).text).toBe("next after 0");
  expect(await failure(session.query(command("great", "Ada"), { idempotencyKey: "k" }), "COMMAND_NOT_FOUND")).toBe(
    error,
  );
  expect(session.status()).toMatchObject({ state: "idle", restarts: 0 });
  await first.stop();
  await using second = await run(both, [{ name }]);
  const again = await failure(
    second.query(name, command("great", "Ada"), { idempotencyKey: "k" }),
    "COMMAND_NOT_FOUND",
  );
  expect({ ...again.details }).toEqual({ ...error.details });
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).toEqual(["next"]);
});

test("command(): an unknown command in a pool frees its member", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: echo, fake: greets, children: [pool(name, { size: 1 })] });
  await failure(query(name, command("gret")), "COMMAND_NOT_FOUND");
  expect((await query(name, command("greet", "Ada"))).text).toBe("/greet Ada after 0");
  await failure(query(name, command("model", "opus")), "INVALID_OPTIONS");
  expect((await query(name, command("greet", "Bob"))).text).toBe("/greet Bob after 0");
  expect(scene.supervisor.pool(name).status().size).toBe(1);
});

test("command(): wakes a hibernated session", async () => {
  await using scene = await Scene.open({ script: echo, fake: greets });
  await scene.session.query("hi");
  await scene.session.hibernate();
  expect((await scene.session.query(command("greet"))).text).toBe("/greet after 2");
  await scene.session.hibernate();
  await failure(scene.session.query(command("gret")), "COMMAND_NOT_FOUND");
  expect((await scene.session.query("hi")).text).toBe("hi after 4");
});

/** A session with an MCP server. Only the process can tell which prompts it has. */
const served = { mcpServers: { "my docs": createSdkMcpServer({ name: "my docs" }) } };

test("command(): accepts a prompt of an MCP server that the session has", async () => {
  await using scene = await Scene.open({ script: echo, session: served });
  expect((await scene.session.query(command("mcp__my_docs__ask", "x"))).text).toBe("/mcp__my_docs__ask x after 0");
  await failure(scene.session.query(command("mcp__other__ask")), "COMMAND_NOT_FOUND");
});

test("command(): moves to the next process when its process dies during the check", async () => {
  await using scene = await Scene.open({ script: echo, session: served });
  await scene.session.query("hi");
  const [process] = scene.fake.running;
  process?.kill("SIGSTOP");
  const reply = scene.session.query(command("mcp__my_docs__ask"));
  await ticks(3);
  process?.crash();
  expect((await reply).text).toBe("/mcp__my_docs__ask after 2");
  expect(scene.session.status().restarts).toBe(1);
});

test("command(): never reaches the process when it is cancelled or times out during the check", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: echo, session: served });
  const [process] = scene.fake.running;
  process?.kill("SIGSTOP");
  const cancelled = scene.session.stream(command("mcp__my_docs__ask"));
  const late = scene.session.stream(command("mcp__my_docs__ask"), { timeout: "5s" });
  await ticks(3);
  await cancelled.interrupt();
  await failure(cancelled.result(), "TURN_CANCELLED");
  await failure(within(clock, late.result()), "TURN_TIMEOUT");
  process?.kill("SIGCONT");
  expect((await within(clock, scene.session.query("hi"))).text).toBe("hi after 0");
  expect(process?.prompts).toEqual(["hi"]);
});

test("command(): rejects with CONTROL_TIMEOUT when the process does not answer the check", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: echo, session: served });
  const [process] = scene.fake.running;
  process?.kill("SIGSTOP");
  await failure(within(clock, scene.session.query(command("mcp__my_docs__ask"))), "CONTROL_TIMEOUT");
  process?.kill("SIGCONT");
  expect((await within(clock, scene.session.query("hi"))).text).toBe("hi after 0");
});

test("session.compact(): replaces the conversation by a summary, and every view of its turn says so", async () => {
  await using scene = await Scene.open({ script: echo });
  const { session } = scene;
  await session.query("one");
  const first = await session.compact("keep the names");
  expect(first).toMatchObject({ text: COMPACTED, command: "compact", costUsd: 0.01 });
  expect((await session.query("two")).text).toBe("two after 1");

  const turn = session.stream(command("compact"), { idempotencyKey: "c" });
  const reply = await turn.result();
  expect(await collect(turn.text())).toEqual([COMPACTED]);
  expect(await turn.toResponse().text()).toContain(`event: text\ndata: {"text":"${COMPACTED}"}\nid: `);
  const read = await readUI(turn.toUIMessageStreamResponse());
  expect(read.errors).toEqual([]);
  expect(read.message).toMatchObject({
    parts: [{ type: "step-start" }, { type: "text", text: COMPACTED }],
    metadata: { command: "compact" },
  });
  expect(await session.query(command("compact"), { idempotencyKey: "c" })).toEqual(reply);
  expect(scene.fake.processes[0]?.prompts).toEqual(["one", "/compact keep the names", "two", "/compact"]);
});

test("session.compact(): its turn reads the same after a restart of the application", async () => {
  const both = { fake: fakeClaude(echo), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  await first.query(name, "one");
  const { turnId } = await first.session(name).compact();
  await first.stop();
  await using second = await run(both, [{ name }]);
  const turn = await second.session(name).turn(turnId);
  if (turn === undefined) throw new Error("the turn is missing");
  expect(await collect(turn.text())).toEqual([COMPACTED]);
  expect(await turn.toResponse().text()).toContain(COMPACTED);
  expect((await readUI(turn.toUIMessageStreamResponse())).message).toMatchObject({ metadata: { command: "compact" } });
});

test("session.compact(): rejects with TURN_FAILED when there is nothing to compact, and the session continues", async () => {
  await using scene = await Scene.open({ script: echo });
  const error = await failure(scene.session.compact(), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: "turn" });
  expect(error.message).toContain("No messages to compact");
  expect((await scene.session.query("one")).text).toBe("one after 0");
});

test("session.compact(): a retried turn after it starts from the summary", async () => {
  const dies: FakeScript = async (turn) => {
    if (turn.prompt === "three" && turn.process === scene.fake.processes[0]) await turn.crash();
    await echo(turn);
  };
  await using scene = await Scene.open({ script: dies });
  await scene.session.query("one");
  await scene.session.query("two");
  await scene.session.compact();
  // The conversation is the summary and the last answer.
  expect((await scene.session.query("three")).text).toBe("three after 2");
  expect(scene.session.status().restarts).toBe(1);
});

test('command("clear"): replies that the conversation was cleared, and the session follows the new one', async () => {
  await using scene = await Scene.open({ script: echo });
  const { sessionId } = await scene.session.query("one");
  const turn = scene.session.stream(command("clear"));
  const reply = await turn.result();
  expect(reply).toMatchObject({ text: "The conversation has been cleared.", command: "clear" });
  expect(await collect(turn.text())).toEqual([reply.text]);
  expect(reply.sessionId).not.toBe(sessionId);
  expect(scene.session.status().conversationId).toBe(reply.sessionId);
});

test("query(): keeps an empty answer of the model empty, without a `command`", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.result({ text: "" }) });
  const turn = scene.session.stream("say nothing");
  const reply = await turn.result();
  expect(reply.text).toBe("");
  expect(reply).not.toHaveProperty("command");
  expect(await collect(turn.text())).toEqual([]);
  await eventually(() => scene.session.status().state === "idle");
});
