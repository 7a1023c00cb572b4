import { describe, expect, it } from "vitest";
import { conversationOptions } from "../../src/claude/conversation-start.ts";

describe("conversationOptions", () => {
  it("passes the id of a new conversation, without a resume", () => {
    expect(conversationOptions({ kind: "new", id: "a" })).toEqual({ sessionId: "a" });
  });

  it("resumes a conversation, whole or up to a message", () => {
    expect(conversationOptions({ kind: "resume", id: "a" })).toStrictEqual({ resume: "a" });
    expect(conversationOptions({ kind: "resume", id: "a", at: undefined })).toStrictEqual({ resume: "a" });
    expect(conversationOptions({ kind: "resume", id: "a", at: "m" })).toEqual({ resume: "a", resumeSessionAt: "m" });
  });

  it("forks one conversation into another", () => {
    const forked = { resume: "a", forkSession: true, sessionId: "b" };
    expect(conversationOptions({ kind: "fork", id: "b", from: "a" })).toStrictEqual(forked);
    expect(conversationOptions({ kind: "fork", id: "b", from: "a", at: "m" })).toEqual({
      ...forked,
      resumeSessionAt: "m",
    });
  });
});
