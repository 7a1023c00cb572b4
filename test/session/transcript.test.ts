import { randomUUID } from "node:crypto";
import type { SessionMessage, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import type { Conversation } from "../../src/session/conversation/conversation.ts";
import { allMessages, rememberedMessages } from "../../src/session/conversation/transcript.ts";

const id = randomUUID();

/** A transcript entry behind the given parent. */
function entry(
  type: "user" | "assistant",
  text: string,
  parentUuid: string | null,
): SessionStoreEntry & { uuid: string } {
  const message = { role: type, content: [{ type: "text", text }] };
  return { type, uuid: randomUUID(), parentUuid, sessionId: id, isSidechain: false, message };
}

test("rememberedMessages(): leaves out a retried turn after a cut until it has ended; allMessages() includes it", async () => {
  const prompt = entry("user", "one", null);
  const answer = entry("assistant", "re: one", prompt.uuid);
  const cut = entry("user", "two", answer.uuid);
  const again = entry("user", "two", answer.uuid);
  const half = entry("assistant", "half", again.uuid);
  const sessionStore = { append: async () => {}, load: async () => [prompt, answer, cut, again, half] };
  const conversation: Conversation = { kind: "kept", id, empty: false, lastUuid: answer.uuid, cut: true };
  const source = { sdk: { sessionStore }, environment: {} };
  const uuids = (said: readonly SessionMessage[]): string[] => said.map(({ uuid }) => uuid);
  expect(uuids(await rememberedMessages(conversation, source, {}))).toEqual([prompt.uuid, answer.uuid]);
  expect(uuids(await allMessages(conversation, source))).toEqual([prompt, answer, again, half].map(({ uuid }) => uuid));
});
