import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { linked } from "../../src/journal/postgres/transcript-links.ts";

function said(uuid: string, parentUuid: string | null, content: unknown = uuid): SessionStoreEntry {
  return { type: "user", uuid, parentUuid, message: { role: "user", content } };
}

function links(entries: readonly SessionStoreEntry[]): string[] {
  return entries.map(({ uuid, parentUuid }) => `${uuid} ${parentUuid}`);
}

const CALL = [{ type: "tool_use", id: "c1", name: "Bash", input: {} }];
const RESULT = [{ type: "tool_result", tool_use_id: "c1", content: "done" }];

describe("a transcript's links", () => {
  it("stay as they are where none is broken", () => {
    const whole = [said("a", null), { type: "last-prompt" }, said("b", "a"), said("side", "a"), said("c", "b")];
    expect(linked(whole)).toBe(whole);
  });

  it("lead from an entry that has lost its parent to the one before it", () => {
    const entries = [said("a", null), said("b", "a"), { type: "last-prompt" }, said("d", "c"), said("e", "d")];
    expect(links(linked(entries))).toEqual(["a null", "b a", "undefined undefined", "d b", "e d"]);
  });

  it("begin with an entry before which nothing is left", () => {
    expect(links(linked([said("b", "a"), said("c", "b"), said("e", "d")]))).toEqual(["b null", "c b", "e c"]);
  });

  it("leave out the result of a tool whose call is gone, and lead past it", () => {
    const entries = [said("a", null), said("r", "call", RESULT), said("answer", "r"), said("b", "answer")];
    expect(links(linked(entries))).toEqual(["a null", "answer a", "b answer"]);
  });

  it("keep the result of a tool whose call is there", () => {
    const entries = [said("a", "gone"), said("call", "a", CALL), said("r", "call", RESULT)];
    expect(links(linked(entries))).toEqual(["a null", "call a", "r call"]);
  });
});
