import { DefaultChatTransport, readUIMessageStream } from "ai";
import { expect, test } from "vitest";
import { stream } from "../../src/castellan.ts";
import type { FakeTurn } from "../../src/testing/index.ts";
import { readUI, type TurnMessage } from "../session/ui-messages.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, Scene } from "./scene.ts";

const ANSWER = "line one\n\nline two: data: event: é🏰";

async function script(turn: FakeTurn): Promise<void> {
  await turn.thinking("hm");
  await turn.text("I look.");
  await turn.toolUse("Read", { file_path: "/x\n\ny" }, { result: "what it holds" });
  await turn.toolUse("Bash", { command: "false" }, { result: "exit code 1", isError: true });
  await turn.text(ANSWER, { partials: 6 });
}

const PARTS = [
  { type: "step-start" },
  { type: "reasoning", text: "hm", state: "done" },
  { type: "text", text: "I look.", state: "done" },
  {
    type: "dynamic-tool",
    toolName: "Read",
    state: "output-available",
    input: { file_path: "/x\n\ny" },
    output: "what it holds",
  },
  { type: "step-start" },
  {
    type: "dynamic-tool",
    toolName: "Bash",
    state: "output-error",
    input: { command: "false" },
    errorText: "exit code 1",
  },
  { type: "step-start" },
  { type: "text", text: ANSWER, state: "done" },
];

test.each([[true], [false]])("toUIMessageStreamResponse(): sends an AI SDK message; partials: %j", async (partial) => {
  await using scene = await Scene.open({ script, session: { includePartialMessages: partial } });
  const turn = stream(scene.name, "go");
  const { chunks, states, message, errors } = await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
  const { usage, costUsd, stopReason } = await turn.result();
  expect(errors).toEqual([]);
  expect(message).toMatchObject({ id: turn.id, role: "assistant", parts: PARTS });
  expect(message?.parts).toHaveLength(PARTS.length);
  expect(message?.metadata).toEqual({ session: scene.name, turnId: turn.id, usage, costUsd, stopReason });
  expect(states[0]).toMatchObject({ id: turn.id, parts: [], metadata: { session: scene.name, turnId: turn.id } });
  expect(chunks.at(-1)).toMatchObject({ type: "finish", finishReason: "stop" });
  expect(chunks.some(({ type }) => type === "tool-input-delta")).toBe(partial);
});

test("turn.toUIMessageStreamResponse(): serves the transport of useChat, and replays when the page reconnects", async () => {
  await using scene = await Scene.open({ script });
  const turn = stream(scene.name, "go");
  const transport = new DefaultChatTransport<TurnMessage>({
    fetch: async () => turn.toUIMessageStreamResponse({ view: "operator" }),
  });
  const sent = await transport.sendMessages({
    trigger: "submit-message",
    chatId: "chat",
    messageId: undefined,
    messages: [{ id: "prompt", role: "user", parts: [{ type: "text", text: "go" }] }],
    abortSignal: undefined,
  });
  const resumed = await transport.reconnectToStream({ chatId: "chat" });
  for (const chunks of [sent, resumed]) {
    if (chunks === null) throw new Error("no stream");
    let last: TurnMessage | undefined;
    for await (const state of readUIMessageStream<TurnMessage>({ stream: chunks, terminateOnError: true }))
      last = state;
    expect(last).toMatchObject({ id: turn.id, parts: PARTS });
  }
});

test("turn.toUIMessageStreamResponse(): ends with the error when the API fails the turn", async () => {
  await using scene = await Scene.open({
    script: (turn) => turn.fail({ status: 400, message: "too odd" }),
  });
  const turn = stream(scene.name, "go");
  const { chunks, errors } = await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
  expect(chunks.at(-1)).toMatchObject({ type: "error", errorText: expect.stringContaining("too odd") });
  expect(errors).toHaveLength(1);
  expect(errors[0]).not.toContain("\n    at ");
});

test("turn.toUIMessageStreamResponse(): ends with the error after the partial text when the process dies", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("so far");
      await turn.crash();
    },
  });
  const { message, chunks } = await readUI(stream(scene.name, "go").toUIMessageStreamResponse({ view: "operator" }));
  expect(message?.parts).toMatchObject([{ type: "step-start" }, { type: "text", text: "so far", state: "done" }]);
  expect(chunks.at(-1)?.type).toBe("error");
});

test("turn.toUIMessageStreamResponse(): shows an untouched retried turn as one message without an empty step", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.index === 0) await turn.crash();
      await turn.text("at last");
    },
  });
  const { message, errors } = await readUI(stream(scene.name, "go").toUIMessageStreamResponse({ view: "operator" }));
  expect(errors).toEqual([]);
  expect(message?.parts).toMatchObject([{ type: "step-start" }, { type: "text", text: "at last" }]);
});

test("turn.toUIMessageStreamResponse(): takes back the output of a retried attempt", async () => {
  await using scene = await Scene.open({
    session: { onInterruptedTurn: "retry" },
    script: async (turn) => {
      await turn.partial(`try ${turn.index}`);
      if (turn.index === 0) await turn.crash();
    },
  });
  const { message, states, errors } = await readUI(
    stream(scene.name, "go").toUIMessageStreamResponse({ view: "operator" }),
  );
  expect(errors).toEqual([]);
  expect(states.some(({ parts }) => parts.some((part) => part.type === "text" && part.text === "try 0"))).toBe(true);
  expect(message?.parts).toMatchObject([{ type: "step-start" }, { type: "text", text: "try 1", state: "done" }]);
});

test.each([
  ["while it writes", (turn: FakeTurn) => turn.partial("so far").then(() => turn.hang()), "text"],
  ["while a tool runs", (turn: FakeTurn) => turn.toolUse("Bash", {}, { hang: true }).then(() => {}), "dynamic-tool"],
] as const)(
  "turn.toUIMessageStreamResponse(): ends as aborted when the turn is interrupted %s",
  async (_, script, part) => {
    await using scene = await Scene.open({ script });
    const turn = stream(scene.name, "go");
    const read = readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
    if (part === "text") for await (const _ of turn.text()) break;
    else for await (const _ of turn.toolUses()) break;
    await turn.interrupt();
    const { message, chunks, errors } = await read;
    expect(errors).toEqual([]);
    expect(message?.parts.at(-1)?.type).toBe(part);
    expect(chunks.at(-1)).toMatchObject({ type: "abort", reason: expect.stringContaining("interrupted") });
  },
);

test("turn.toUIMessageStreamResponse(): is an empty, aborted message when the turn is cancelled before it runs", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: () => open.promise });
  const first = stream(scene.name, "first");
  const turn = stream(scene.name, "second");
  const read = readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
  await turn.interrupt();
  const { message, chunks } = await read;
  expect(message?.parts).toEqual([]);
  expect(chunks.map(({ type }) => type)).toEqual(["start", "abort"]);
  open.resolve();
  await first.result();
});

test("turn.toUIMessageStreamResponse(): ends with the error when the session stops", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.hang() });
  const read = readUI(stream(scene.name, "go").toUIMessageStreamResponse({ view: "operator" }));
  await scene.fake.prompted(1);
  await scene.session.stop();
  expect((await read).chunks.map(({ type }) => type)).toEqual(["start", "error"]);
});

test("turn.toUIMessageStreamResponse(): a page that does not read delays neither the turn nor another page", async () => {
  await using scene = await Scene.open({ script: (turn) => turn.text("x".repeat(5_000), { partials: 500 }) });
  const turn = stream(scene.name, "go");
  const clock = new SimulatedClock();
  const idle = turn.toUIMessageStreamResponse({ view: "operator", clock }).body?.getReader();
  await idle?.read();
  const { message } = await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
  expect(message?.parts.at(-1)).toMatchObject({ text: "x".repeat(5_000) });
  expect((await turn.result()).text).toHaveLength(5_000);
  await idle?.cancel();
  expect(clock.timers).toBe(0);
});

test("turn.toUIMessageStreamResponse(): a page that leaves does not stop the turn", async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("first ");
      await open.promise;
      await turn.text("second");
    },
  });
  const turn = stream(scene.name, "go");
  const clock = new SimulatedClock();
  const reader = turn.toUIMessageStreamResponse({ view: "operator", clock }).body?.getReader();
  const decoder = new TextDecoder();
  let heard = "";
  while (!heard.includes("first")) heard += decoder.decode((await reader?.read())?.value);
  const read = reader?.read();
  await eventually(() => clock.timers === 1);
  await reader?.cancel();
  await read;
  expect(clock.timers).toBe(0);
  open.resolve();
  expect((await turn.result()).text).toBe("first second");
});
