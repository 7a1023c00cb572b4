import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { isAbout, isAboutAnother, lifecycleOf } from "../../src/session/streams/current-turn.ts";
import { assistant, keepAlive, success, textBlock } from "./messages.ts";

/** What Claude Code says of a prompt, which the SDK's types leave out. */
function lifecycle(uuid: string, state: string): SDKMessage {
  return Object.assign(keepAlive(), { type: "command_lifecycle", command_uuid: uuid, state });
}

const answer = (fields: { user_message_uuid?: string; user_message_uuids?: string[] }): SDKMessage => ({
  ...assistant("m", [textBlock("hi")]),
  ...fields,
});

describe("which prompt a message belongs to", () => {
  it.each<[string, SDKMessage, boolean, boolean]>([
    ["that it is taken up", lifecycle("mine", "started"), true, false],
    ["that it waits", lifecycle("mine", "queued"), false, false],
    ["that another one is taken up", lifecycle("other", "started"), false, false],
    ["an answer to it", answer({ user_message_uuid: "mine" }), true, false],
    ["an answer to several, this among them", answer({ user_message_uuids: ["other", "mine"] }), true, false],
    [
      "the list counts for more than the last of it",
      answer({ user_message_uuid: "other", user_message_uuids: ["mine", "other"] }),
      true,
      false,
    ],
    ["an answer to another one", answer({ user_message_uuid: "other" }), false, true],
    ["an answer to others", answer({ user_message_uuids: ["other"] }), false, true],
    ["a result of another one", success({ user_message_uuid: "other" }), false, true],
    ["an answer that does not say", answer({}), false, false],
    ["something else", keepAlive(), false, false],
  ])("%s", (_, message, about, another) => {
    expect(isAbout(message, "mine")).toBe(about);
    expect(isAboutAnother(message, "mine")).toBe(another);
  });
});

describe("lifecycleOf", () => {
  it("reads what Claude Code says of a prompt, and nothing out of other messages", () => {
    expect(lifecycleOf(lifecycle("mine", "queued"))).toEqual({ uuid: "mine", state: "queued" });
    expect(lifecycleOf(keepAlive())).toBeUndefined();
    expect(lifecycleOf(Object.assign(keepAlive(), { command_uuid: 7, state: "queued" }))).toBeUndefined();
  });
});
