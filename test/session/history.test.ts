import { randomUUID } from "node:crypto";
import type { SessionMessage, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import type { Conversation } from "../../src/session/conversation/conversation.ts";
import { historyOf, transcriptOf } from "../../src/session/conversation/history.ts";

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

test("historyOf(): leaves out a retried turn after a cut until it has ended; transcriptOf() includes it", async () => {
  const prompt = entry("user", "one", null);
  const answer = entry("assistant", "re: one", prompt.uuid);
  const cut = entry("user", "two", answer.uuid);
  const again = entry("user", "two", answer.uuid);
  const half = entry("assistant", "half", again.uuid);
  const sessionStore = { append: async () => {}, load: async () => [prompt, answer, cut, again, half] };
  const conversation: Conversation = { kind: "kept", id, empty: false, lastUuid: answer.uuid, cut: true };
  const source = { sdk: { sessionStore }, environment: {} };
  const uuids = (said: readonly SessionMessage[]): string[] => said.map(({ uuid }) => uuid);
  expect(uuids(await historyOf(conversation, source, {}))).toEqual([prompt.uuid, answer.uuid]);
  expect(uuids(await transcriptOf(conversation, source))).toEqual(
    [prompt, answer, again, half].map(({ uuid }) => uuid),
  );
});
