import { randomUUID } from "node:crypto";
import type { SDKMessage, SDKPartialAssistantMessage } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { BlockReader } from "../../src/claude/messages/block-reader.ts";
import {
  assistant,
  boundary,
  messageStart,
  SESSION,
  success,
  textBlock,
  thinkingBlock,
  toolBlock,
  user,
} from "../session/messages.ts";

type StreamEvent = SDKPartialAssistantMessage["event"];

function streamed(event: StreamEvent, parent: string | null = null): SDKMessage {
  return { type: "stream_event", event, parent_tool_use_id: parent, uuid: randomUUID(), session_id: SESSION };
}

const start = (
  index: number,
  block: Extract<StreamEvent, { type: "content_block_start" }>["content_block"],
  parent?: string,
) => streamed({ type: "content_block_start", index, content_block: block }, parent);
const text = (index: number, piece: string, parent?: string) =>
  streamed({ type: "content_block_delta", index, delta: { type: "text_delta", text: piece } }, parent);
const stop = (index: number) => streamed({ type: "content_block_stop", index });

function readAll(reader: BlockReader, messages: readonly SDKMessage[]) {
  return messages.flatMap((message) => [...reader.read(message, { withDeltas: true })]);
}

test("BlockReader: reads each block once, after its deltas, as Claude Code sends them", () => {
  const json = (index: number, piece: string) =>
    streamed({ type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: piece } });
  const thinking = (index: number, piece: string) =>
    streamed({
      type: "content_block_delta",
      index,
      delta: { type: "thinking_delta", thinking: piece, estimated_tokens: null },
    });
  const input = { command: "ls" };
  // The order of the real process: a whole block comes before the end of the streamed one.
  const drafts = readAll(new BlockReader(), [
    messageStart("m1"),
    start(0, thinkingBlock("")),
    thinking(0, "I should "),
    thinking(0, "look."),
    assistant("m1", [thinkingBlock("I should look.")]),
    stop(0),
    start(1, textBlock("")),
    text(1, "Let me "),
    text(1, "see."),
    assistant("m1", [textBlock("Let me see.")]),
    stop(1),
    start(2, toolBlock("u1", "Bash", {})),
    json(2, '{"command":'),
    json(2, '"ls"}'),
    assistant("m1", [toolBlock("u1", "Bash", input)]),
    stop(2),
    user([{ type: "tool_result", tool_use_id: "u1", content: "a b", is_error: false }]),
    success(),
  ]);
  expect(drafts).toEqual([
    { type: "thinking_delta", text: "I should ", block: "m1.0" },
    { type: "thinking_delta", text: "look.", block: "m1.0" },
    { type: "thinking", text: "I should look.", block: "m1.0" },
    { type: "text_delta", text: "Let me ", block: "m1.1" },
    { type: "text_delta", text: "see.", block: "m1.1" },
    { type: "text", text: "Let me see.", block: "m1.1" },
    { type: "tool_input_delta", json: '{"command":', toolUseId: "u1" },
    { type: "tool_input_delta", json: '"ls"}', toolUseId: "u1" },
    { type: "tool_use", id: "u1", name: "Bash", input, message: "m1" },
    { type: "tool_result", toolUseId: "u1", output: "a b", failed: false },
  ]);
});

test("BlockReader: numbers the blocks of whole messages alike, without partial messages", () => {
  const drafts = readAll(new BlockReader(), [
    assistant("m1", [thinkingBlock("hm")]),
    assistant("m1", [textBlock("a"), textBlock("b")]),
    assistant("m2", [textBlock("c")]),
  ]);
  expect(drafts.map((draft) => ("block" in draft ? draft.block : ""))).toEqual(["m1.0", "m1.1", "m1.2", "m2.0"]);
});

test("BlockReader: gives a whole block the id of its deltas although an empty block before it never arrived whole", () => {
  const drafts = readAll(new BlockReader(), [
    messageStart("m1"),
    start(0, textBlock("")),
    stop(0),
    start(1, textBlock("")),
    text(1, "yes"),
    assistant("m1", [textBlock("yes")]),
    stop(1),
  ]);
  expect(drafts).toEqual([
    { type: "text_delta", text: "yes", block: "m1.1" },
    { type: "text", text: "yes", block: "m1.1" },
  ]);
});

test("BlockReader: keeps the interleaved blocks of subagents apart, and names their parent", () => {
  const drafts = readAll(new BlockReader(), [
    messageStart("m1"),
    start(0, textBlock("")),
    text(0, "main "),
    messageStart("s1", { parent: "u9" }),
    start(0, textBlock(""), "u9"),
    text(0, "sub", "u9"),
    assistant("s1", [textBlock("sub")], { parent: "u9" }),
    text(0, "text"),
    assistant("s2", [toolBlock("u10", "Read", {})], { parent: "u9" }),
    user([{ type: "tool_result", tool_use_id: "u10", content: "x", is_error: true }], { parent: "u9" }),
    assistant("m1", [textBlock("main text")]),
  ]);
  expect(drafts).toEqual([
    { type: "text_delta", text: "main ", block: "m1.0" },
    { type: "text_delta", text: "sub", block: "s1.0", parent: "u9" },
    { type: "text", text: "sub", block: "s1.0", parent: "u9" },
    { type: "text_delta", text: "text", block: "m1.0" },
    { type: "tool_use", id: "u10", name: "Read", input: {}, message: "s2", parent: "u9" },
    { type: "tool_result", toolUseId: "u10", output: "x", failed: true, parent: "u9" },
    { type: "text", text: "main text", block: "m1.0" },
  ]);
});

test("BlockReader.cut: returns what was streamed of blocks that did not arrive whole, once", () => {
  const reader = new BlockReader();
  readAll(reader, [messageStart("m1"), start(0, textBlock("")), text(0, "half an "), text(0, "ans")]);
  expect(reader.cut()).toEqual([{ type: "text", text: "half an ans", block: "m1.0", cut: true }]);
  expect(reader.cut()).toEqual([]);
});

test("BlockReader: cuts a block that ends without arriving whole, because the API broke off", () => {
  // The messages of the real process.
  const blocks = readAll(new BlockReader(), [
    messageStart("m1"),
    start(0, textBlock("")),
    text(0, "word"),
    text(0, " word"),
    stop(0),
    streamed({ type: "message_stop" }),
    assistant("m2", [textBlock("It says hello.")]),
  ]);
  expect(blocks.slice(2)).toEqual([
    { type: "text", text: "word word", block: "m1.0", cut: true },
    { type: "text", text: "It says hello.", block: "m2.0" },
  ]);
});

test("BlockReader: cuts the blocks of an API message when the next one begins to stream", () => {
  const drafts = readAll(new BlockReader(), [
    messageStart("m1"),
    start(0, textBlock("")),
    text(0, "lo"),
    messageStart("m2"),
    start(0, textBlock("")),
    text(0, "and again"),
    assistant("m2", [textBlock("and again")]),
  ]);
  expect(drafts).toEqual([
    { type: "text_delta", text: "lo", block: "m1.0" },
    { type: "text", text: "lo", block: "m1.0", cut: true },
    { type: "text_delta", text: "and again", block: "m2.0" },
    { type: "text", text: "and again", block: "m2.0" },
  ]);
});

test("BlockReader: ignores reports of failed requests, empty text, and messages that a compaction repeats", () => {
  const reader = new BlockReader();
  const kept = assistant("m1", [textBlock("kept")]);
  expect(
    readAll(reader, [{ ...assistant("e", [textBlock("API Error: 500")]), error: "server_error" as const }]),
  ).toEqual([]);
  expect(readAll(reader, [assistant("m0", [textBlock("")])])).toEqual([]);
  expect(readAll(reader, [kept])).toHaveLength(1);
  const compacted = boundary();
  if (compacted.type !== "system" || compacted.subtype !== "compact_boundary") throw new Error("not a boundary");
  compacted.compact_metadata.preserved_messages = { anchor_uuid: kept.uuid, uuids: [kept.uuid] };
  expect(readAll(reader, [compacted, kept])).toEqual([]);
});

test("BlockReader: reads the answer of a built-in command from its result, unless it has shown it before", () => {
  const cost = success({ local_command: "cost", result: "It cost nothing." });
  const block = `${cost.uuid}.0`;
  expect(readAll(new BlockReader(), [cost])).toEqual([{ type: "text", text: "It cost nothing.", block }]);
  expect(readAll(new BlockReader(), [assistant("m1", [textBlock("It cost nothing.")]), cost])).toHaveLength(1);
});

test("BlockReader: without deltas, gives the same broken-off blocks", () => {
  const messages = [messageStart("m"), start(0, textBlock("")), text(0, "a"), text(0, "b")];
  const [full, whole] = [new BlockReader(), new BlockReader()];
  expect(readAll(full, messages)).toHaveLength(2);
  expect(messages.flatMap((message) => whole.read(message, { withDeltas: false }))).toEqual([]);
  const cut = whole.cut();
  expect(cut).toMatchObject([{ type: "text", text: "ab", cut: true }]);
  expect(cut).toEqual(full.cut());
});
