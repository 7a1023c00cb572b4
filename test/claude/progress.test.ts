import { randomUUID } from "node:crypto";
import type { SDKAssistantMessage, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeltaReader } from "../../src/claude/messages/deltas.ts";
import { Progress } from "../../src/claude/messages/progress.ts";
import type { Delta } from "../../src/claude/messages/shown.ts";
import { toolUsesOf } from "../../src/claude/messages/tools.ts";
import {
  assistant,
  blockDelta,
  blockStart,
  boundary,
  keepAlive,
  messageStart,
  notCompacted,
  SESSION,
  success,
  textBlock,
  textDelta,
  thinkingBlock,
  toolBlock,
  user,
} from "../session/messages.ts";

const SUB = { parent: "tool-1" };

function read(messages: readonly SDKMessage[]): Delta[] {
  const reader = new DeltaReader();
  return messages.flatMap((message) => reader.read(message));
}

function progressOf(...messages: SDKMessage[]): Progress {
  const progress = new Progress();
  for (const message of messages) progress.add(message);
  return progress;
}

describe("DeltaReader", () => {
  const boundary = (uuids: string[] = []): SDKMessage => ({
    type: "system",
    subtype: "compact_boundary",
    compact_metadata: {
      trigger: "manual",
      pre_tokens: 9,
      preserved_messages: { anchor_uuid: randomUUID(), uuids: uuids as ReturnType<typeof randomUUID>[] },
    },
    uuid: randomUUID(),
    session_id: SESSION,
  });

  it("says that a silent command was run", () => {
    expect(read([boundary(), success({ result: "", local_command: "compact" })])).toEqual([
      { type: "text", text: "The conversation has been compacted." },
    ]);
    expect(read([success({ result: "", local_command: "reload_skills" })])).toEqual([
      { type: "text", text: "/reload-skills has been run." },
    ]);
    expect(read([success({ result: "Three skills.", local_command: "reload_skills" })])).toEqual([
      { type: "text", text: "Three skills." },
    ]);
  });

  it("does not repeat a command's words, and says nothing for a command without effect or for an empty answer", () => {
    const said = assistant("m1", [textBlock("Three skills.")]);
    expect(read([said, success({ result: "Three skills.", local_command: "reload_skills" })])).toEqual([
      { type: "text", text: "Three skills." },
    ]);
    expect(read([success({ result: "", local_command: "compact" })])).toEqual([]);
    expect(read([success({ result: "" })])).toEqual([]);
  });

  it("skips messages that are repeated after a summary", () => {
    const before = assistant("m1", [textBlock("from before")]);
    const told = read([boundary([before.uuid]), before, assistant("m2", [textBlock("new")])]);
    expect(told).toEqual([{ type: "text", text: "new" }]);
  });

  it("yields pieces as they come, without the whole message that follows", () => {
    const deltas = read([
      messageStart("m1"),
      blockDelta({ type: "thinking_delta", thinking: "hm", estimated_tokens: null }),
      textDelta("Hel"),
      assistant("m1", [thinkingBlock("hm")]),
      textDelta("lo"),
      assistant("m1", [textBlock("Hello")]),
    ]);
    expect(deltas).toEqual([
      { type: "thinking", text: "hm" },
      { type: "text", text: "Hel" },
      { type: "text", text: "lo" },
    ]);
  });

  it("yields whole messages without pieces before them", () => {
    const deltas = read([
      messageStart("m1"),
      textDelta("streamed"),
      assistant("m1", [textBlock("streamed")]),
      assistant("m2", [thinkingBlock("hm"), textBlock("whole"), toolBlock("t", "Read")]),
    ]);
    expect(deltas).toEqual([
      { type: "text", text: "streamed" },
      { type: "thinking", text: "hm" },
      { type: "text", text: "whole" },
    ]);
  });

  it("skips subagents and content other than text", () => {
    const deltas = read([
      messageStart("m1"),
      messageStart("s1", SUB),
      textDelta("sub", SUB),
      assistant("s2", [textBlock("sub")], SUB),
      blockDelta({ type: "input_json_delta", partial_json: "{}" }),
      textDelta("main"),
      assistant("m1", [textBlock("main")]),
      user("text"),
      success({ result: "main" }),
      keepAlive(),
    ]);
    expect(deltas).toEqual([{ type: "text", text: "main" }]);
  });

  it("skips the words of an API error", () => {
    const words = assistant("e", [textBlock("API Error: 500 boom")]);
    const unnamed = { ...words, is_api_error_message: true };
    const failed: SDKAssistantMessage[] = [
      { ...words, error: "server_error" },
      unnamed,
      { ...unnamed, error: "unknown" },
    ];
    for (const message of failed) {
      const told = [
        message,
        messageStart("m1"),
        textDelta("half"),
        message,
        assistant("m2", [textBlock("!")]),
        message,
      ];
      expect(read(told).map(({ text }) => text)).toEqual(["half", "!"]);
      expect(progressOf(...told).text).toBe("half!");
      expect(progressOf(message)).toMatchObject({ text: "", touched: false });
    }
  });

  it("yields the same text streamed and whole", () => {
    const piece = fc.string({ minLength: 1 });
    const turn = fc.array(fc.tuple(fc.boolean(), fc.array(piece, { minLength: 1, maxLength: 6 })), { maxLength: 6 });
    fc.assert(
      fc.property(turn, (answers) => {
        const messages = answers.flatMap(([streams, pieces], index) => [
          ...(streams ? [messageStart(`m${index}`), ...pieces.map((text) => textDelta(text))] : []),
          assistant(`m${index}`, [textBlock(pieces.join(""))]),
        ]);
        const text = read(messages)
          .map((delta) => delta.text)
          .join("");
        expect(text).toBe(answers.map(([, pieces]) => pieces.join("")).join(""));
      }),
    );
  });
});

describe("toolUsesOf", () => {
  it("returns the tools of a message in order, with their parent", () => {
    const message = assistant("m", [toolBlock("a", "Read", { path: "x" }), textBlock("and"), toolBlock("b", "Bash")]);
    expect(toolUsesOf(message)).toStrictEqual([
      { id: "a", name: "Read", input: { path: "x" } },
      { id: "b", name: "Bash", input: {} },
    ]);
    expect(toolUsesOf(assistant("m", [toolBlock("a", "Read")], SUB))).toStrictEqual([
      { id: "a", name: "Read", input: {}, parentToolUseId: "tool-1" },
    ]);
  });

  it("returns nothing for other messages", () => {
    expect([user("hi"), success(), messageStart("m"), assistant("m", [textBlock("a")])].flatMap(toolUsesOf)).toEqual(
      [],
    );
  });
});

describe("Progress", () => {
  it("is untouched until Claude begins to answer", () => {
    expect(progressOf().touched).toBe(false);
    expect(progressOf(keepAlive(), messageStart("m1")).touched).toBe(false);
  });

  it.each<[string, SDKMessage]>([
    ["a block", blockStart({ type: "text", text: "", citations: null })],
    ["a block of a subagent", blockStart({ type: "text", text: "", citations: null }, SUB)],
    ["an answer", assistant("m", [textBlock("hi")])],
    ["a tool use", assistant("m", [toolBlock("a", "Bash")])],
    ["a tool result", user([{ type: "tool_result", tool_use_id: "tool-1", content: "ok" }])],
    ["a subagent's answer", assistant("m", [textBlock("hi")], SUB)],
  ])("is touched by %s", (_, message) => {
    expect(progressOf(message).touched).toBe(true);
  });

  it("is untouched by Claude Code's own user messages: the mark of an interrupt, and a summary", () => {
    const interrupted = user([{ type: "text", text: "[Request interrupted by user]" }]);
    expect(progressOf(interrupted).touched).toBe(false);
    expect(progressOf(user("This session is being continued from a previous conversation.")).touched).toBe(false);
    // The conversation can be cut back to the mark.
    expect(progressOf(interrupted).lastUuid).toBe(interrupted.uuid);
  });

  it("knows the summary of a compaction, and whether there was a compaction", () => {
    const summary = user([{ type: "text", text: "This session is being continued." }]);
    const later = user([{ type: "text", text: "and again" }]);
    expect(progressOf(user("hi")).compaction).toBeUndefined();
    expect(progressOf(notCompacted()).compaction).toEqual({ state: "failed", summary: undefined });
    expect(progressOf(boundary(), summary, user("more")).compaction).toEqual({ state: "done", summary: summary.uuid });
    expect(progressOf(boundary(), summary, boundary(), later).compaction?.summary).toBe(later.uuid);
    // A failed compaction keeps the earlier summary.
    expect(progressOf(boundary(), summary, notCompacted()).compaction).toEqual({
      state: "failed",
      summary: summary.uuid,
    });
    expect(progressOf(boundary(), user("sub", SUB)).compaction?.summary).toBeUndefined();
  });

  it("collects the text, and the tools, those of subagents included", () => {
    const progress = progressOf(
      messageStart("m1"),
      textDelta("Let me "),
      textDelta("look."),
      assistant("m1", [textBlock("Let me look.")]),
      assistant("m1", [toolBlock("tool-1", "Task")]),
      assistant("s1", [textBlock("sub"), toolBlock("tool-2", "Bash")], SUB),
      assistant("m2", [textBlock(" Done.")]),
    );
    expect(progress.text).toBe("Let me look. Done.");
    expect(progress.toolUses.map(({ name }) => name)).toEqual(["Task", "Bash"]);
  });

  it("knows the last message of the main conversation to cut back to", () => {
    const [answer, call] = [assistant("m1", [textBlock("so")]), assistant("m1", [toolBlock("tool-1", "Task")])];
    const result = user([{ type: "tool_result", tool_use_id: "tool-1", content: "ok" }]);
    expect(progressOf(answer).lastUuid).toBe(answer.uuid);
    const sub = assistant("s1", [textBlock("sub")], SUB);
    expect(progressOf(answer, sub, messageStart("m2"), keepAlive()).lastUuid).toBe(answer.uuid);
    // The conversation cannot be cut back to a call without a result.
    expect(progressOf(answer, call, sub).lastUuid).toBe(answer.uuid);
    expect(progressOf(call).lastUuid).toBeUndefined();
    expect(progressOf(answer, call, result, user("sub", SUB)).lastUuid).toBe(result.uuid);
    expect(progressOf(keepAlive()).lastUuid).toBeUndefined();
  });

  it("keeps the error of the last answer until an answer succeeds", () => {
    const failed: SDKAssistantMessage = { ...assistant("m1", [textBlock("API Error")]), error: "overloaded" };
    expect(progressOf(failed).error).toBe("overloaded");
    expect(progressOf(failed, keepAlive()).error).toBe("overloaded");
    expect(progressOf(failed, assistant("m2", [textBlock("fine")])).error).toBeUndefined();
  });

  it("counts tools without a result", () => {
    const call = assistant("m1", [toolBlock("a", "Read"), toolBlock("b", "Bash")]);
    const answers = (id: string): SDKMessage => ({
      ...user(""),
      message: { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: "ok" }] },
    });
    expect(progressOf(call).openTools).toBe(2);
    expect(progressOf(call, answers("a")).openTools).toBe(1);
    expect(progressOf(call, answers("a"), answers("a"), answers("other")).openTools).toBe(1);
    expect(progressOf(call, answers("b"), answers("a")).openTools).toBe(0);
  });
});
