import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { describe, expect, it } from "vitest";
import { isAbout, isAboutOtherPrompt, lifecycleOf } from "../../src/claude/messages/lifecycle.ts";
import { assistant, keepAlive, success, textBlock } from "../session/messages.ts";

/** A lifecycle message of a prompt, which the SDK's types leave out. */
function lifecycle(uuid: string, state: string): SDKMessage {
  return Object.assign(keepAlive(), { type: "command_lifecycle", command_uuid: uuid, state });
}

const answer = (fields: { user_message_uuid?: string; user_message_uuids?: string[] }): SDKMessage => ({
  ...assistant("m", [textBlock("hi")]),
  ...fields,
});

describe("Attribution of messages to prompts", () => {
  it.each<[string, SDKMessage, boolean, boolean]>([
    ["a start of it", lifecycle("mine", "started"), true, false],
    ["a wait of it", lifecycle("mine", "queued"), false, false],
    ["a start of another prompt", lifecycle("other", "started"), false, false],
    ["an answer to it", answer({ user_message_uuid: "mine" }), true, false],
    ["an answer to several prompts with it", answer({ user_message_uuids: ["other", "mine"] }), true, false],
    [
      "an answer whose list has it and whose single id has not",
      answer({ user_message_uuid: "other", user_message_uuids: ["mine", "other"] }),
      true,
      false,
    ],
    ["an answer to another prompt", answer({ user_message_uuid: "other" }), false, true],
    ["an answer to other prompts", answer({ user_message_uuids: ["other"] }), false, true],
    ["a result of another prompt", success({ user_message_uuid: "other" }), false, true],
    ["an answer without a prompt's id", answer({}), false, false],
    ["another message", keepAlive(), false, false],
  ])("attributes to its prompt %s", (_, message, about, another) => {
    expect(isAbout(message, "mine")).toBe(about);
    expect(isAboutOtherPrompt(message, (id) => id === "mine")).toBe(another);
  });
});

describe("lifecycleOf", () => {
  it("reads lifecycle messages, and ignores other messages", () => {
    expect(lifecycleOf(lifecycle("mine", "queued"))).toEqual({ uuid: "mine", state: "queued" });
    expect(lifecycleOf(keepAlive())).toBeUndefined();
    expect(lifecycleOf(Object.assign(keepAlive(), { command_uuid: 7, state: "queued" }))).toBeUndefined();
  });
});
