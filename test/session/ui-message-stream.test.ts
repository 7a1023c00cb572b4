import { randomUUID } from "node:crypto";
import type { SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { UIMessageChunk as AiChunk } from "ai";
import fc from "fast-check";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { ShownPiece } from "../../src/claude/messages/shown.ts";
import { CastellanError } from "../../src/errors.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import { Turn } from "../../src/session/streams/turn.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import type { TurnMetadata, UIMessageChunk } from "../../src/session/streams/ui-message-chunk.ts";
import { UIMessageStream } from "../../src/session/streams/ui-message-stream.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";
import {
  assistant,
  blockDelta,
  blockStart,
  keepAlive,
  messageStart,
  type Place,
  SESSION,
  success,
  textBlock,
  textDelta,
  thinkingBlock,
  toolBlock,
  user,
} from "./messages.ts";
import { NO_CALLS } from "./no-calls.ts";
import { type Read, readUI } from "./ui-messages.ts";

const reply: Reply = {
  text: "Done.",
  usage: { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 },
  costUsd: 0.1,
  models: [],
  sessionId: "s",
  turnId: "t",
  stopReason: "end_turn",
  durationMs: 1,
};

const BEGUN = { session: ["support", 7], turnId: "t" } as const;
/** Fields of every tool chunk. */
const RUN = { dynamic: true, providerExecuted: true } as const;
const ENDED = { ...BEGUN, usage: reply.usage, costUsd: 0.1, stopReason: "end_turn" };

type ToolResult = Extract<Exclude<SDKUserMessage["message"]["content"], string>[number], { type: "tool_result" }>;

function toolResult(id: string, content: ToolResult["content"], isError?: boolean, place: Place = {}): SDKMessage {
  const block: ToolResult = {
    type: "tool_result",
    tool_use_id: id,
    ...(content === undefined ? {} : { content }),
    ...(isError === undefined ? {} : { is_error: isError }),
  };
  return { ...user("", place), message: { role: "user", content: [block] } };
}

function blockStop(): SDKMessage {
  const event = { type: "content_block_stop", index: 0 } as const;
  return { type: "stream_event", event, parent_tool_use_id: null, uuid: randomUUID(), session_id: SESSION };
}

/** A message of a newer Claude Code. */
function unknown(message: object): SDKMessage {
  return JSON.parse(JSON.stringify(message));
}

function running(messages: readonly SDKMessage[] = []): { turn: Turn; record: TurnRecord } {
  const record = new TurnRecord("t", "prompt", 'session "a"', { queueTimeoutMs: 600_000 });
  record.enqueued();
  record.started();
  for (const message of messages) record.append(message);
  return { record, turn: new Turn(record, BEGUN.session, NO_CALLS) };
}

async function completed(messages: readonly SDKMessage[], as: Reply = reply): Promise<Read> {
  const { record, turn } = running(messages);
  record.complete(as);
  return await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
}

async function failed(error: CastellanError, messages: readonly SDKMessage[] = []): Promise<Read> {
  const { record, turn } = running(messages);
  record.fail("failed", error);
  return await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
}

const thinkingDelta = (thinking: string): SDKMessage =>
  blockDelta({ type: "thinking_delta", thinking, estimated_tokens: null });
const jsonDelta = (partial_json: string): SDKMessage => blockDelta({ type: "input_json_delta", partial_json });
const toolStart = (id: string, name: string): SDKMessage => blockStart({ type: "tool_use", id, name, input: {} });

const WHOLE: readonly SDKMessage[] = [
  assistant("m1", [thinkingBlock("hm, so")]),
  assistant("m1", [textBlock("I look.")]),
  assistant("m1", [toolBlock("call-1", "Bash", { command: "ls" })]),
  assistant("m1", [toolBlock("call-2", "Read", { file_path: "/x" })]),
  toolResult("call-1", "a.ts"),
  toolResult("call-2", "no such file", true),
  assistant("m2", [textBlock("Done.")]),
  success(),
];

const STREAMED: readonly SDKMessage[] = [
  keepAlive(),
  messageStart("m1"),
  blockStart({ type: "thinking", thinking: "", signature: "" }),
  thinkingDelta("hm,"),
  thinkingDelta(" so"),
  blockDelta({ type: "signature_delta", signature: "s" }),
  assistant("m1", [thinkingBlock("hm, so")]),
  blockStop(),
  blockStart({ type: "text", text: "", citations: null }),
  textDelta("I "),
  textDelta("look."),
  assistant("m1", [textBlock("I look.")]),
  blockStop(),
  toolStart("call-1", "Bash"),
  jsonDelta(""),
  jsonDelta('{"comm'),
  jsonDelta('and":"ls"}'),
  assistant("m1", [toolBlock("call-1", "Bash", { command: "ls" })]),
  blockStop(),
  toolStart("call-2", "Read"),
  jsonDelta('{"file_path":"/x"}'),
  assistant("m1", [toolBlock("call-2", "Read", { file_path: "/x" })]),
  blockStop(),
  toolResult("call-1", "a.ts"),
  toolResult("call-2", "no such file", true),
  messageStart("m2"),
  textDelta("Done."),
  assistant("m2", [textBlock("Done.")]),
  blockStop(),
  success(),
];

const PARTS = [
  { type: "step-start" },
  { type: "reasoning", id: "reasoning-0", text: "hm, so", state: "done" },
  { type: "text", text: "I look.", state: "done" },
  {
    type: "dynamic-tool",
    providerExecuted: true,
    toolName: "Bash",
    toolCallId: "call-1",
    state: "output-available",
    input: { command: "ls" },
    output: "a.ts",
  },
  {
    type: "dynamic-tool",
    providerExecuted: true,
    toolName: "Read",
    toolCallId: "call-2",
    state: "output-error",
    input: { file_path: "/x" },
    errorText: "no such file",
  },
  { type: "step-start" },
  { type: "text", text: "Done.", state: "done" },
];

const textOf = (read: Read): string =>
  read.message?.parts.map((part) => (part.type === "text" ? part.text : "")).join("") ?? "";

describe("Turn.toUIMessageStreamResponse", () => {
  it("sets the protocol's headers, sends data events and [DONE], and adds the caller's headers", async () => {
    const { record, turn } = running();
    record.complete(reply);
    const response = turn.toUIMessageStreamResponse({
      headers: { "x-own": "1", "x-vercel-ai-ui-message-stream": "v0", "content-type": "text/plain" },
    });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-vercel-ai-ui-message-stream": "v1",
      "x-accel-buffering": "no",
      "x-own": "1",
    });
    const events = (await response.text()).split("\n\n");
    expect(events.slice(-2)).toEqual(["data: [DONE]", ""]);
    expect(events.slice(0, -1).every((event) => event.startsWith("data: "))).toBe(true);
  });

  it("sends chunks of the AI SDK's types", () => {
    expectTypeOf<UIMessageChunk>().toExtend<AiChunk<TurnMetadata>>();
  });

  it("sends a chunk for each piece, and a step for each message of the API", async () => {
    const { chunks } = await completed(STREAMED);
    expect(chunks).toEqual([
      { type: "start", messageId: "t", messageMetadata: BEGUN },
      { type: "start-step" },
      { type: "reasoning-start", id: "reasoning-0" },
      { type: "reasoning-delta", id: "reasoning-0", delta: "hm," },
      { type: "reasoning-delta", id: "reasoning-0", delta: " so" },
      { type: "reasoning-end", id: "reasoning-0" },
      { type: "text-start", id: "text-1" },
      { type: "text-delta", id: "text-1", delta: "I " },
      { type: "text-delta", id: "text-1", delta: "look." },
      { type: "text-end", id: "text-1" },
      { type: "tool-input-start", toolCallId: "call-1", toolName: "Bash", ...RUN },
      { type: "tool-input-delta", toolCallId: "call-1", inputTextDelta: '{"comm' },
      { type: "tool-input-delta", toolCallId: "call-1", inputTextDelta: 'and":"ls"}' },
      { type: "tool-input-available", toolCallId: "call-1", toolName: "Bash", input: { command: "ls" }, ...RUN },
      { type: "tool-input-start", toolCallId: "call-2", toolName: "Read", ...RUN },
      { type: "tool-input-delta", toolCallId: "call-2", inputTextDelta: '{"file_path":"/x"}' },
      {
        type: "tool-input-available",
        toolCallId: "call-2",
        toolName: "Read",
        input: { file_path: "/x" },
        ...RUN,
      },
      { type: "tool-output-available", toolCallId: "call-1", output: "a.ts", ...RUN },
      { type: "tool-output-error", toolCallId: "call-2", errorText: "no such file", ...RUN },
      { type: "finish-step" },
      { type: "start-step" },
      { type: "text-start", id: "text-2" },
      { type: "text-delta", id: "text-2", delta: "Done." },
      { type: "text-end", id: "text-2" },
      { type: "finish-step" },
      { type: "finish", finishReason: "stop", messageMetadata: ENDED },
    ]);
  });

  it.each([
    ["with partial messages", STREAMED],
    ["without partial messages", WHOLE],
  ])("builds one message of the AI SDK, %s", async (_, messages) => {
    const { message, errors } = await completed(messages);
    expect(message).toEqual({ id: "t", role: "assistant", metadata: ENDED, parts: PARTS });
    expect(errors).toEqual([]);
  });

  it("shows a tool's input while it is being written", async () => {
    const { states } = await completed(STREAMED);
    const inputs = states.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.type === "dynamic-tool" && part.state === "input-streaming" ? [part.input] : [])),
    );
    expect(inputs).toContainEqual({ comm: undefined });
    expect(inputs).toContainEqual({ command: "ls" });
  });

  it("sends every page the same, also a late one", async () => {
    const { record, turn } = running();
    const early = readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
    for (const message of STREAMED) record.append(message);
    record.complete(reply);
    expect((await readUI(turn.toUIMessageStreamResponse({ view: "operator" }))).chunks).toEqual((await early).chunks);
  });

  it("passes a tool's result through with its images, and an error as text", async () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "aaaa" } } as const;
    const blocks = [{ type: "text", text: "one" } as const, image, { type: "text", text: "two" } as const];
    const { message, errors } = await completed([
      assistant("m", [toolBlock("a", "A"), toolBlock("b", "B"), toolBlock("c", "C")]),
      toolResult("b", blocks, true),
      toolResult("a", blocks, false),
      toolResult("c", undefined),
    ]);
    expect(errors).toEqual([]);
    expect(message?.parts).toMatchObject([
      { type: "step-start" },
      { toolCallId: "a", state: "output-available", output: blocks },
      { toolCallId: "b", state: "output-error", errorText: "one\ntwo" },
      { toolCallId: "c", state: "output-available", output: "" },
    ]);
  });

  it("keeps a tool's result in the step of its call, also after the next message has begun", async () => {
    const { chunks, message } = await completed([
      assistant("m1", [toolBlock("a", "A")]),
      messageStart("m2"),
      toolResult("a", "late"),
      textDelta("so"),
    ]);
    expect(chunks.slice(1, -4).map(({ type }) => type)).toEqual([
      "start-step",
      "tool-input-available",
      "tool-output-available",
      "finish-step",
      "start-step",
      "text-start",
    ]);
    expect(message?.parts.at(-1)).toMatchObject({ text: "so" });
  });

  it("leaves out subagents, and keeps the result of their tool", async () => {
    const SUB = { parent: "task" };
    const { message, errors } = await completed([
      assistant("m1", [toolBlock("task", "Agent", { prompt: "look" })]),
      user("look", SUB),
      messageStart("s1", SUB),
      blockStart({ type: "tool_use", id: "inner", name: "Grep", input: {} }, SUB),
      blockDelta({ type: "input_json_delta", partial_json: "{}" }, SUB),
      textDelta("inside", SUB),
      assistant("s1", [textBlock("inside"), toolBlock("inner", "Grep")], SUB),
      toolResult("inner", "found", false, SUB),
      toolResult("task", [{ type: "text", text: "found it" }]),
      assistant("m2", [textBlock("Done.")]),
    ]);
    expect(errors).toEqual([]);
    expect(message?.parts).toMatchObject([
      { type: "step-start" },
      { toolCallId: "task", toolName: "Agent", output: [{ type: "text", text: "found it" }] },
      { type: "step-start" },
      { type: "text", text: "Done." },
    ]);
  });

  it("skips unknown messages and results of unknown calls", async () => {
    const main = { parent_tool_use_id: null, uuid: randomUUID(), session_id: SESSION };
    const { message, errors } = await completed([
      unknown({ type: "brand_new", parent_tool_use_id: null }),
      unknown({ type: "system", subtype: "brand_new" }),
      unknown({ ...main, type: "stream_event", event: { type: "brand_new" } }),
      messageStart("m1"),
      unknown({
        ...main,
        type: "stream_event",
        event: { type: "content_block_start", content_block: { type: "new" } },
      }),
      unknown({ ...main, type: "stream_event", event: { type: "content_block_delta", delta: { type: "new_delta" } } }),
      jsonDelta("{}"),
      blockStop(),
      blockStop(),
      textDelta("on"),
      unknown(assistant("m1", [JSON.parse('{"type":"brand_new"}')])),
      toolResult("never-called", "?"),
      toolResult("never-called", "?", true),
      user("a prompt"),
    ]);
    expect(errors).toEqual([]);
    expect(message?.parts).toEqual([{ type: "step-start" }, { type: "text", text: "on", state: "done" }]);
  });

  it("sends no part for hidden thinking, and no step for an empty message", async () => {
    const { chunks } = await completed([
      messageStart("m0"),
      messageStart("m1"),
      blockStart({ type: "thinking", thinking: "", signature: "" }),
      thinkingDelta(""),
      blockDelta({ type: "signature_delta", signature: "s" }),
      assistant("m1", [thinkingBlock("")]),
      blockStop(),
      assistant("m2", [thinkingBlock(""), textBlock("")]),
    ]);
    expect(chunks.map(({ type }) => type)).toEqual(["start", "finish"]);
  });

  it("sends a part for each block of a message", async () => {
    const { message } = await completed([assistant("m1", [textBlock("one")]), assistant("m1", [textBlock("two")])]);
    expect(message?.parts).toMatchObject([{ type: "step-start" }, { text: "one" }, { text: "two" }]);
  });

  describe("of a retried turn", () => {
    async function rerun(before: readonly SDKMessage[]): Promise<Read> {
      const { record, turn } = running(before);
      record.requeued();
      record.started();
      for (const message of [keepAlive(), messageStart("m9"), textDelta("second"), toolResult("call", "late")]) {
        record.append(message);
      }
      record.complete(reply);
      return await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
    }
    const SECOND = [{ type: "step-start" }, { type: "text", text: "second", state: "done" }];

    it("takes back the step that was cut", async () => {
      const { message, errors, chunks } = await rerun([
        messageStart("m1"),
        textDelta("first"),
        blockStop(),
        assistant("m1", [toolBlock("call", "Bash")]),
        toolStart("other", "Bash"),
        jsonDelta('{"comm'),
      ]);
      expect(errors).toEqual([]);
      expect(message?.parts).toEqual(SECOND);
      expect(chunks.filter(({ type }) => type.endsWith("-step")).map(({ type }) => type)).toEqual([
        "start-step",
        "reset-step",
        "finish-step",
      ]);
    });

    it("keeps earlier steps, which the AI SDK cannot take back", async () => {
      const { message, errors } = await rerun([
        assistant("m1", [toolBlock("done", "Bash")]),
        toolResult("done", "result"),
        messageStart("m2"),
        textDelta("first"),
      ]);
      expect(errors).toEqual([]);
      expect(message?.parts).toMatchObject([{ type: "step-start" }, { toolCallId: "done" }, ...SECOND]);
    });

    it("hides an attempt that had shown nothing", async () => {
      const { message, chunks } = await rerun([keepAlive(), messageStart("m1")]);
      expect(message?.parts).toEqual(SECOND);
      expect(chunks.map(({ type }) => type)).not.toContain("reset-step");
    });
  });

  it.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["model_context_window_exceeded", "length"],
    ["refusal", "content-filter"],
    ["tool_use", "tool-calls"],
    ["brand_new", "other"],
    [null, "other"],
  ])("maps the stop reason %j to %j", async (stopReason, finishReason) => {
    const { chunks } = await completed([], { ...reply, stopReason });
    expect(chunks.at(-1)).toMatchObject({ type: "finish", finishReason, messageMetadata: { stopReason } });
  });

  describe("of a recalled turn", () => {
    const SHOWN: readonly ShownPiece[] = [
      { type: "thinking", text: "hm" },
      { type: "text", text: "I look." },
      { type: "tool_use", id: "a", name: "Task", input: { of: 1 } },
      { type: "tool_use", id: "b", name: "Bash", input: {}, parentToolUseId: "a" },
      { type: "lost" },
      { type: "text", text: "Done." },
    ];

    it.each([true, false])("sends its tools, and marks the loss (known before: %s)", async (early) => {
      const record = new TurnRecord("t", "prompt", 'session "a"', { attempts: 1 });
      const turn = new Turn(record, BEGUN.session, NO_CALLS);
      const recall = (): void => record.recall("completed", { reply, output: undefined }, SHOWN);
      if (early) recall();
      const reading = readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
      await settle();
      if (!early) recall();
      const { message, errors } = await reading;
      expect(errors).toEqual([]);
      expect(message?.metadata).toEqual(ENDED);
      expect(message?.parts).toMatchObject([
        { type: "step-start" },
        { type: "reasoning", text: "hm", state: "done" },
        { type: "text", text: "I look.", state: "done" },
        { toolName: "Task", toolCallId: "a", state: "output-available", input: { of: 1 } },
        { type: "data-lost", data: { code: "EVENTS_LOST" } },
        { type: "text", text: "Done.", state: "done" },
      ]);
    });

    it("leaves the tools of a failed turn open", async () => {
      const record = new TurnRecord("t", "prompt", 'session "a"', { attempts: 1 });
      const turn = new Turn(record, BEGUN.session, NO_CALLS);
      record.recall("failed", { error: new CastellanError("SESSION_STOPPED", "why") }, SHOWN.slice(0, 3));
      const { message, errors } = await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
      expect(errors).toEqual(["why"]);
      expect(message?.parts.at(-1)).toMatchObject({ toolCallId: "a", state: "input-available" });
    });
  });

  describe("of a turn that does not complete", () => {
    const partial = { turnId: "t", partialText: "half", toolUses: [] };
    const HALF = [messageStart("m1"), textDelta("half")];
    const exit = { class: "crash", message: "it crashed", at: 0 } as const;
    const ended = (
      last: UIMessageChunk,
    ): Pick<Read, "chunks" | "errors"> & { readonly message: { readonly parts: unknown[] } } => ({
      chunks: [
        { type: "start", messageId: "t", messageMetadata: BEGUN },
        { type: "start-step" },
        { type: "text-start", id: "text-0" },
        { type: "text-delta", id: "text-0", delta: "half" },
        { type: "text-end", id: "text-0" },
        last,
      ],
      errors: last.type === "error" ? [last.errorText] : [],
      message: { parts: [{ type: "step-start" }, { type: "text", text: "half", state: "done" }] },
    });

    it.each([
      ["fails", new CastellanError("TURN_FAILED", "why", { details: { ...partial, class: "turn" } })],
      ["times out", new CastellanError("TURN_TIMEOUT", "why", { details: { ...partial, timeoutMs: 1 } })],
      ["loses its process", new CastellanError("TURN_INTERRUPTED", "why", { details: { ...partial, exit } })],
      [
        "loses its session",
        new CastellanError("TURN_INTERRUPTED", "why", {
          details: partial,
          cause: new CastellanError("SESSION_STOPPED", "it was stopped"),
        }),
      ],
      ["never runs because its session ends", new CastellanError("SESSION_STOPPED", "why")],
    ])("ends with an error after the partial text when the turn %s", async (_, error) => {
      expect(await failed(error, HALF)).toMatchObject(ended({ type: "error", errorText: "why" }));
    });

    it.each([
      ["interrupt", new CastellanError("TURN_INTERRUPTED", "why", { details: partial })],
      ["abort", new CastellanError("TURN_INTERRUPTED", "why", { details: partial, cause: new Error("own reason") })],
      ["cancel", new CastellanError("TURN_CANCELLED", "why", { details: { turnId: "t" } })],
    ])("ends as aborted after the partial text on %s", async (_, error) => {
      expect(await failed(error, HALF)).toMatchObject(ended({ type: "abort", reason: "why" }));
    });

    it("hides an error that is not Castellan's", () => {
      const chunks = [
        ...new UIMessageStream({ id: "t", session: "a" }, "operator").fail(new Error("password: castle")),
      ];
      expect(chunks).toEqual([{ type: "error", errorText: "Something went wrong. Please try again later." }]);
    });
  });

  it("carries any text unchanged", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "grapheme", minLength: 1 }), { minLength: 1, maxLength: 5 }),
        async (pieces) => {
          const read = await completed([messageStart("m1"), ...pieces.map((text) => textDelta(text))]);
          expect(textOf(read)).toBe(pieces.join(""));
          expect(read.errors).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("sends only valid chunks with the text of turn.text(), for any order of messages", async () => {
    const id = fc.constantFrom("a", "b", "c");
    const place = fc.constantFrom<Place>({}, {}, {}, { parent: "a" });
    const message = fc.oneof(
      fc.tuple(id, place).map(([id, place]) => messageStart(id, place)),
      fc.tuple(id, place).map(([id, place]) => blockStart({ type: "tool_use", id, name: "Bash", input: {} }, place)),
      fc.constant(blockStart({ type: "text", text: "", citations: null })),
      fc.tuple(fc.constantFrom("", "x", "yz"), place).map(([text, place]) => textDelta(text, place)),
      fc.constantFrom("", "hm").map((text) => thinkingDelta(text)),
      fc.constantFrom("", "{", "}").map((json) => jsonDelta(json)),
      fc.constant(blockStop()),
      fc.tuple(id, place).map(([id, place]) => assistant(id, [thinkingBlock("hm"), textBlock("whole")], place)),
      fc.tuple(id, id, place).map(([id, call, place]) => assistant(id, [toolBlock(call, "Bash")], place)),
      fc.tuple(id, fc.boolean(), place).map(([id, isError, place]) => toolResult(id, "result", isError, place)),
      fc.constant(user("text")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 30 }), fc.option(fc.nat(30)), async (messages, cut) => {
        const { record, turn } = running(messages.slice(0, cut ?? 30));
        if (cut !== null) {
          record.requeued();
          record.started();
          for (const message of messages.slice(cut)) record.append(message);
        }
        record.complete(reply);
        const read = await readUI(turn.toUIMessageStreamResponse({ view: "operator" }));
        expect(read.errors).toEqual([]);
        let text = "";
        for await (const piece of turn.text()) text += piece;
        // Steps before the cut cannot be taken back.
        expect(textOf(read).endsWith(text)).toBe(true);
        if (cut === null) expect(textOf(read)).toBe(text);
        expect(read.chunks.at(-1)?.type).toBe("finish");
        const steps = read.chunks.flatMap(({ type }) =>
          type === "start-step" || type === "finish-step" ? [type] : [],
        );
        expect(steps.every((step, at) => step === (at % 2 === 0 ? "start-step" : "finish-step"))).toBe(true);
        expect(steps.length % 2).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it("sends chunks as they arrive, the first before the turn's first message", async () => {
    const { record, turn } = running();
    const reader = turn
      .toUIMessageStreamResponse({ view: "operator", clock: new SimulatedClock() })
      .body?.pipeThrough(new TextDecoderStream())
      .getReader();
    expect((await reader?.read())?.value).toContain('"type":"start"');
    const next = reader?.read();
    record.append(messageStart("m1"));
    record.append(textDelta("now"));
    expect((await next)?.value).toContain('"delta":"now"');
    await reader?.cancel();
  });

  it("sends comments as heartbeats, which a page does not see", async () => {
    const clock = new SimulatedClock();
    const { record, turn } = running();
    const response = turn.toUIMessageStreamResponse({ view: "operator", clock, heartbeatMs: 1_000 });
    const [seen, raw] = response.body?.tee() ?? [];
    const read = readUI(new Response(seen ?? null));
    const text = new Response(raw ?? null).text();
    await clock.advance(3_000);
    record.complete(reply);
    expect((await text).split("\n\n").filter((event) => event.startsWith(":"))).toHaveLength(3);
    expect((await read).chunks.map(({ type }) => type)).toEqual(["start", "finish"]);
    expect(clock.timers).toBe(0);
  });

  it("stops when the page leaves; the turn and its other readers continue", async () => {
    const clock = new SimulatedClock();
    const { record, turn } = running();
    const gone = turn.toUIMessageStreamResponse({ view: "operator", clock }).body?.getReader();
    await gone?.read();
    void gone?.read();
    await settle();
    await gone?.cancel();
    expect(clock.timers).toBe(0);
    const other = readUI(turn.toUIMessageStreamResponse({ view: "operator", clock }));
    for (const message of STREAMED) record.append(message);
    record.complete(reply);
    expect((await other).message?.parts).toEqual(PARTS);
    expect(turn.state).toBe("completed");
  });

  it("delays nothing for a page that does not read", async () => {
    const { record, turn } = running();
    const reader = turn.toUIMessageStreamResponse({ view: "operator", clock: new SimulatedClock() }).body?.getReader();
    for (const message of STREAMED) record.append(message);
    record.complete(reply);
    await expect(turn.result()).resolves.toBe(reply);
    let chunks = 0;
    for (let read = await reader?.read(); read?.done === false; read = await reader?.read()) chunks++;
    expect(chunks).toBeGreaterThan(10);
  });
});
