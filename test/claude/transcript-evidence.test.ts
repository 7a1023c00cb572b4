import { randomUUID } from "node:crypto";
import type { SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { evidenceIn, lastOf, lastThatWorked } from "../../src/claude/messages/transcript-evidence.ts";
import { assistant, SESSION, textBlock, thinkingBlock, toolBlock, user } from "../session/messages.ts";

/** Converts messages of a process to what the SDK reads from its transcript. */
function said(
  ...messages: readonly { type: "user" | "assistant"; uuid: string; message: unknown }[]
): SessionMessage[] {
  return messages.map(({ type, uuid, message }) => ({
    type,
    uuid,
    message,
    session_id: SESSION,
    parent_tool_use_id: null,
    parent_agent_id: null,
  }));
}

function toolResult(id: string, content = "ok") {
  const message = { role: "user", content: [{ type: "tool_result", tool_use_id: id, content }] };
  return { type: "user" as const, uuid: randomUUID(), message };
}

/** A message that Claude Code adds by itself. */
function synthetic(text: string) {
  const { type, uuid, message } = assistant("s", [textBlock(text)]);
  return { type, uuid, message: { ...message, model: "<synthetic>" } };
}

const before = [user("earlier"), assistant("m0", [textBlock("an earlier answer"), toolBlock("t0", "Read")])];
const NOTHING = { touched: false, shown: [], partialText: "", toolUses: [] };

describe("evidenceIn", () => {
  it("finds nothing for a prompt that was not written or never sent", () => {
    expect(evidenceIn(said(...before), randomUUID())).toEqual({ found: false, ...NOTHING });
    expect(evidenceIn(said(...before), undefined)).toEqual({ found: false, ...NOTHING });
    expect(evidenceIn([], randomUUID())).toEqual({ found: false, ...NOTHING });
  });

  it("finds a prompt without an answer", () => {
    const prompt = user("now");
    expect(evidenceIn(said(...before, prompt), prompt.uuid)).toEqual({ found: true, ...NOTHING });
  });

  it("returns text and tools of a turn that was cut while a tool ran", () => {
    const prompt = user("now");
    const call = assistant("m1", [toolBlock("t1", "Bash")]);
    const text = assistant("m1", [thinkingBlock("hm"), textBlock("Let me run it.")]);
    const turn = said(...before, prompt, text, call);
    expect(evidenceIn(turn, prompt.uuid)).toEqual({
      found: true,
      touched: true,
      shown: [
        { type: "thinking", text: "hm" },
        { type: "text", text: "Let me run it." },
        { type: "tool_use", id: "t1", name: "Bash", input: {} },
      ],
      partialText: "Let me run it.",
      toolUses: [{ id: "t1", name: "Bash" }],
      // The conversation cannot be cut back to a call without a result.
      lastUuid: text.uuid,
    });
  });

  it("continues to the end of the turn, over the results of its tools", () => {
    const prompt = user("now");
    const calls = [assistant("m1", [toolBlock("t1", "Bash")]), assistant("m1", [toolBlock("t2", "Read")])];
    const last = toolResult("t2");
    const turn = said(prompt, ...calls, toolResult("t1"), last);
    const { toolUses, lastUuid } = evidenceIn(turn, prompt.uuid);
    expect(toolUses.map(({ id }) => id)).toEqual(["t1", "t2"]);
    expect(lastUuid).toBe(last.uuid);
  });

  it("reads an interrupted turn: half an answer, and the mark of the interrupt", () => {
    const prompt = user("now");
    const mark = {
      type: "user" as const,
      uuid: randomUUID(),
      message: { role: "user", content: [{ type: "text", text: "[Request interrupted by user]" }] },
    };
    const { partialText, lastUuid } = evidenceIn(
      said(prompt, assistant("m1", [textBlock("Half a")]), mark),
      prompt.uuid,
    );
    expect(partialText).toBe("Half a");
    expect(lastUuid).toBe(mark.uuid);
    expect(evidenceIn(said(prompt, mark), prompt.uuid)).toMatchObject({ touched: false, lastUuid: mark.uuid });
  });

  it("does not count Claude Code's own messages as an answer", () => {
    const prompt = user("now");
    for (const text of ["API Error: 529 Overloaded.", "No response requested."]) {
      expect(evidenceIn(said(prompt, synthetic(text)), prompt.uuid)).toEqual({ found: true, ...NOTHING });
    }
    const call = assistant("m1", [toolBlock("t1", "Bash")]);
    const lost = toolResult("t1", "[Tool call interrupted]");
    const resumed = said(prompt, call, lost, synthetic("No response requested."));
    expect(evidenceIn(resumed, prompt.uuid)).toMatchObject({ touched: true, partialText: "", lastUuid: lost.uuid });
  });

  it("ignores messages of another shape", () => {
    const prompt = user("now");
    const odd = [undefined, null, "text", {}, { content: "text" }, { content: [null, "text", 3] }];
    const turn = said(prompt, ...odd.map((message) => ({ type: "user" as const, uuid: randomUUID(), message })));
    expect(evidenceIn(turn, prompt.uuid)).toMatchObject({ found: true, ...NOTHING });
  });
});

describe("lastOf", () => {
  it("returns the last message at which no tool was running", () => {
    const prompt = user("now");
    const calls = [assistant("m1", [toolBlock("t1", "Bash")]), assistant("m1", [toolBlock("t2", "Read")])];
    const [one, two] = [toolResult("t1"), toolResult("t2")];
    const ends = [prompt, ...calls, one, two].map((_, n, all) => lastOf(said(...all.slice(0, n + 1))));
    expect(ends).toEqual([prompt.uuid, prompt.uuid, prompt.uuid, prompt.uuid, two.uuid]);
    expect(lastOf([])).toBeUndefined();
  });

  it("does not go back behind a later prompt for a tool without a result", () => {
    const [one, two] = [user("one"), user("two")];
    const answer = assistant("m2", [textBlock("fine")]);
    expect(lastOf(said(one, assistant("m1", [toolBlock("t1", "Bash")]), two))).toBe(two.uuid);
    expect(lastOf(said(one, assistant("m1", [toolBlock("t1", "Bash")]), two, answer))).toBe(answer.uuid);
  });
});

describe("lastThatWorked", () => {
  const turn = (word: string) => [user(word), assistant("m", [textBlock(`re: ${word}`)])] as const;
  const [one, two] = [turn("one"), turn("two")];
  const failed = (word: string) => [user(word), synthetic("API Error: 400")];

  it("returns the end of the turn before the last when all have worked", () => {
    expect(lastThatWorked(said(...one, ...two))).toBe(one[1].uuid);
  });

  it("returns the end of the last turn that worked before failed ones", () => {
    const read = [user("look"), assistant("m", [textBlock("so"), toolBlock("t", "Read")]), toolResult("t", "poison")];
    expect(lastThatWorked(said(...one, ...two, ...read, synthetic("refused"), ...failed("next")))).toBe(two[1].uuid);
    expect(lastThatWorked(said(...one, ...two, ...read))).toBe(two[1].uuid);
    expect(lastThatWorked(said(...one, ...failed("x"), ...two))).toBe(one[1].uuid);
  });

  it("returns undefined when no other turn has worked", () => {
    expect(lastThatWorked([])).toBeUndefined();
    expect(lastThatWorked(said(...one))).toBeUndefined();
    expect(lastThatWorked(said(...failed("one"), ...failed("two")))).toBeUndefined();
  });

  it("skips a turn that was stopped while a tool ran", () => {
    const stopped = [user("run"), assistant("m", [toolBlock("t", "Bash")])];
    expect(lastThatWorked(said(...one, ...stopped, ...two))).toBe(one[1].uuid);
  });
});
