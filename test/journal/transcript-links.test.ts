import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { relinked } from "../../src/journal/model/transcript-links.ts";

function said(uuid: string, parentUuid: string | null, content: unknown = uuid): SessionStoreEntry {
  return { type: "user", uuid, parentUuid, message: { role: "user", content } };
}

function links(entries: readonly SessionStoreEntry[]): string[] {
  return entries.map(({ uuid, parentUuid }) => `${uuid} ${parentUuid}`);
}

const CALL = [{ type: "tool_use", id: "c1", name: "Bash", input: {} }];
const RESULT = [{ type: "tool_result", tool_use_id: "c1", content: "done" }];

describe("relinked", () => {
  it("returns an intact transcript unchanged", () => {
    const whole = [said("a", null), { type: "last-prompt" }, said("b", "a"), said("side", "a"), said("c", "b")];
    expect(relinked(whole)).toBe(whole);
  });

  it("links an entry whose parent is lost to the entry before it", () => {
    const entries = [said("a", null), said("b", "a"), { type: "last-prompt" }, said("d", "c"), said("e", "d")];
    expect(links(relinked(entries))).toEqual(["a null", "b a", "undefined undefined", "d b", "e d"]);
  });

  it("makes the first entry a root if its parent is lost", () => {
    expect(links(relinked([said("b", "a"), said("c", "b"), said("e", "d")]))).toEqual(["b null", "c b", "e c"]);
  });

  it("drops the result of a tool whose call is lost, and links past it", () => {
    const entries = [said("a", null), said("r", "call", RESULT), said("answer", "r"), said("b", "answer")];
    expect(links(relinked(entries))).toEqual(["a null", "answer a", "b answer"]);
  });

  it("keeps the result of a tool whose call is there", () => {
    const entries = [said("a", "gone"), said("call", "a", CALL), said("r", "call", RESULT)];
    expect(links(relinked(entries))).toEqual(["a null", "call a", "r call"]);
  });
});
