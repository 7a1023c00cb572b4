import { randomUUID } from "node:crypto";
import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";
import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Change } from "../../src/journal/model/change.ts";
import { openSharedJournal } from "../../src/journal/shared-journal.ts";
import { FormerConversations } from "../../src/session/persistence/former-conversations.ts";
import { SupervisorJournal } from "../../src/session/persistence/supervisor-journal.ts";
import { eventually } from "../session-on-fake/scene.ts";

const KEY = '"a"';

async function scene(fault?: Error) {
  const [journal, clock] = [memoryJournal(), systemClock];
  const deps = { clock, newId: randomUUID, random: () => 0.5 };
  const terms = {
    waitForOwnerMs: 0,
    maxAgeMs: 1_000,
    maxTurns: 10,
    maxEvents: 1_000,
    maxEventBytes: 1e9,
    keepsTranscripts: true,
  };
  const supervisorJournal = new SupervisorJournal("s", undefined, clock);
  await supervisorJournal.open(await openSharedJournal(journal, () => journal, terms, deps));
  onTestFinished(() => supervisorJournal.close());
  const removed: string[] = [];
  const sessionStore: SessionStore = {
    append: async () => {},
    load: async () => null,
    delete: async ({ projectKey, sessionId }) => {
      if (fault !== undefined) throw fault;
      removed.push(`${projectKey} ${sessionId}`);
    },
  };
  const spawnClaudeCodeProcess = (): never => {
    throw new Error("no process starts in this test");
  };
  const source = () => ({ sdk: { sessionStore, spawnClaudeCodeProcess }, environment: {} });
  const former = new FormerConversations(KEY, supervisorJournal, source, randomUUID);
  const leave = async (...ids: readonly string[]): Promise<void> => {
    const changes = ids.map((conversationId): Change => {
      return {
        type: "conversation_left",
        conversation: { session: KEY, conversationId, memory: { projectKey: "p" }, leftAt: 1 },
      };
    });
    await supervisorJournal.writer?.write(changes, { session: KEY });
  };
  const kept = async (): Promise<string[]> => (await journal.conversations(KEY)).map((one) => one.conversationId);
  return { former, leave, kept, removed };
}

const ids = Array.from({ length: 1_003 }, (_, n) => `c${n}`);

it("FormerConversations: keeps the last thousand, and removes the transcripts of older ones", async () => {
  const { former, leave, kept, removed } = await scene();
  await leave(...ids.slice(0, 1_000));
  await former.trim();
  expect(removed).toEqual([]);
  // c0 was left again, which makes it one of the latest.
  await leave(...ids.slice(1_000), "c0");
  await former.trim();
  expect(removed).toEqual(["p c1", "p c2", "p c3"]);
  expect(new Set(await kept()).size).toBe(1_000);
  expect(await kept()).toContain("c0");
});

it("FormerConversations: trims on the first and every hundredth conversation, and keeps those that it cannot remove", async () => {
  const { former, leave, removed } = await scene();
  await leave(...ids);
  former.left();
  await eventually(() => removed.length === 3);
  await leave("one more");
  for (let n = 1; n < 100; n++) former.left();
  expect(removed).toHaveLength(3);
  former.left();
  await eventually(() => removed.length === 4);
  const failing = await scene(new Error("no way"));
  await failing.leave(...ids);
  failing.former.left();
  await expect(failing.former.trim()).rejects.toMatchObject({ code: "ERASURE_INCOMPLETE" });
  expect(await failing.kept()).toHaveLength(1_003);
});
