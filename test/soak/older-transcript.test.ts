import { mkdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { transcriptAt, transcriptFolderOf, transcriptLocationOf } from "../../src/claude/transcript-location.ts";
import { type Session, type SessionOptions, Supervisor, type SupervisorOptions } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

let api: MessagesApi;
let name: string;

beforeEach(async () => {
  api = await messagesApi();
  name = unique();
});

afterEach(async () => {
  await api.stop();
});

/** Returns a journal without transcripts, which would replace those that a test damages. */
function withoutTranscripts(): NonNullable<SupervisorOptions["journal"]> {
  return { sqlite: join(api.cwd, "journal.sqlite"), transcripts: "local" };
}

async function started(
  options: Omit<SessionOptions, "name"> = {},
  { journal = withoutTranscripts() }: Pick<SupervisorOptions, "journal"> = {},
): Promise<Supervisor> {
  return await Supervisor.start([{ name, ...options }], { journal, defaults: { env: api.env, cwd: api.cwd } });
}

/** Returns the file of the session's transcript. */
async function transcriptOf(session: Session): Promise<string> {
  const { conversationId } = session.status();
  const file = await transcriptAt(conversationId, await transcriptLocationOf(api.cwd, api.env));
  if (file === undefined) throw new Error("no transcript");
  return file;
}

/** Returns the user prompts of the latest request. */
function asked(): string[] {
  const texts = api.lastRequest?.texts ?? [];
  return texts.filter(({ role, text }) => role === "user" && !text.startsWith("<")).map(({ text }) => text);
}

const kinds = (session: Session): string[] => session.status().faults.map(({ kind }) => kind);

/** Runs two turns, and returns the size of the transcript after the first. */
async function twoTurns(session: Session): Promise<{ readonly file: string; readonly before: number }> {
  await session.query("one");
  const file = await transcriptOf(session);
  const { size: before } = await stat(file);
  await session.query("two");
  return { file, before };
}

describe("a transcript older than the journal knows", () => {
  it("is reported when the application starts again, and continued", async () => {
    const first = await started();
    const { file, before } = await twoTurns(first.session(name));
    await first.stop();
    await truncate(file, before);

    const second = await started();
    const session = second.session(name);
    expect(kinds(session)).toEqual(["conversation_behind"]);
    expect(await second.health()).toMatchObject({ status: "degraded" });
    expect(await session.health()).toMatchObject({ reason: expect.stringContaining("older than the journal") });
    await session.query("three");
    expect(asked()).toEqual(["one", "three"]);
    await second.stop();

    // The journal has adopted the continued transcript.
    await using third = await started();
    expect(await third.health()).toMatchObject({ status: "healthy" });
  });

  it("is reported when the session wakes, and after a crash within a line", async () => {
    await using supervisor = await started();
    const session = supervisor.session(name);
    const { file, before } = await twoTurns(session);
    await session.hibernate();
    await truncate(file, before);
    await session.query("three");
    expect(kinds(session)).toEqual(["conversation_behind"]);
    expect(asked()).toEqual(["one", "three"]);

    const { pid } = session.status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await truncate(file, before + 100);
    await session.query("four");
    expect(kinds(session)).toEqual(["conversation_behind", "conversation_behind"]);
    expect(asked()).toEqual(["one", "four"]);
  });

  it("is reported for a session store", async () => {
    const entries = new Map<string, SessionStoreEntry[]>();
    let most = Number.POSITIVE_INFINITY;
    const keyOf = ({ sessionId, subpath = "" }: { sessionId: string; subpath?: string }): string => sessionId + subpath;
    const sessionStore: SessionStore = {
      append: async (key, more) => void entries.set(keyOf(key), [...(entries.get(keyOf(key)) ?? []), ...more]),
      load: async (key) => entries.get(keyOf(key))?.slice(0, most) ?? null,
    };
    await using supervisor = await started({ sessionStore });
    const session = supervisor.session(name);
    await session.query("one");
    const stored = entries.get(session.status().conversationId)?.length ?? 0;
    await session.query("two");
    await session.hibernate();
    await session.wake();
    expect(kinds(session)).toEqual([]);
    await session.hibernate();
    most = stored;
    await session.query("three");
    expect(kinds(session)).toEqual(["conversation_behind"]);
    expect(asked()).toEqual(["one", "three"]);
  });

  it('quarantines the session with onMissingConversation "fail"', async () => {
    await using supervisor = await started({ onMissingConversation: "fail" });
    const session = supervisor.session(name);
    const { file, before } = await twoTurns(session);
    await session.hibernate();
    await truncate(file, before);
    await expect(session.query("three")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
    expect(session.status().lastExit).toMatchObject({ class: "conversation_missing" });
    await supervisor.reconcile([{ name }]);
    await session.query("three");
    expect(asked()).toEqual(["one", "three"]);
    expect(kinds(session)).toEqual(["conversation_behind"]);
  });

  it('is continued with onMissingConversation "fresh"', async () => {
    await using supervisor = await started({ onMissingConversation: "fresh" });
    const session = supervisor.session(name);
    const { file, before } = await twoTurns(session);
    await session.hibernate();
    await truncate(file, before);
    await session.query("three");
    expect(asked()).toEqual(["one", "three"]);
    expect(kinds(session)).toEqual(["conversation_behind"]);
  });
});

describe("a damaged transcript that the journal has, too", () => {
  it("is written again before the next process reads it", async () => {
    const journal = { sqlite: join(api.cwd, "journal.sqlite") };
    const first = await started({}, { journal });
    const { file, before } = await twoTurns(first.session(name));
    await first.stop();
    await truncate(file, before);

    await using second = await started({}, { journal });
    const session = second.session(name);
    await session.query("three");
    await session.hibernate();
    await truncate(file, before + 100);
    await session.query("four");
    const { pid } = session.status();
    if (pid === undefined) throw new Error("no process");
    await rm(file);
    process.kill(pid, "SIGKILL");
    await session.query("five");
    await session.hibernate();
    await writeFile(file, "\0".repeat(4_096));
    expect(await session.transcript()).toHaveLength(10);
    await session.query("six");
    expect(asked()).toEqual(["one", "two", "three", "four", "five", "six"]);
    expect(kinds(session)).toEqual([]);
  });
});

describe("an intact transcript", () => {
  it("is not reported as older after a crash, a hibernation, a compaction or a cut turn", async () => {
    await using supervisor = await started({}, { journal: "memory" });
    const session = supervisor.session(name);
    const crash = async (): Promise<void> => {
      const { pid } = session.status();
      if (pid === undefined) throw new Error("no process");
      process.kill(pid, "SIGKILL");
      for await (const event of session.events()) if (event.type === "state" && event.state === "idle") return;
    };
    await session.query("one");
    await crash();
    await session.compact();
    await session.hibernate();
    await session.wake();
    api.model = () => ({ text: "and so on ".repeat(200), tokensPerSecond: 4 });
    const cut = session.stream("two");
    for await (const _ of cut.text()) break;
    const { pid } = session.status();
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await expect(cut.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
    api.model = () => ({ text: "yes" });
    await session.wake();
    await crash();
    await session.query("three");
    expect(kinds(session)).toEqual([]);
  });
});

describe("a transcript without any message", () => {
  it.each([
    ["empty", ""],
    ["half a line", '{"type":"user","mess'],
    ["zeros", "\0".repeat(4_096)],
  ])("counts as missing: %s", async (_, content) => {
    await using supervisor = await started({ onMissingConversation: "fresh" });
    const session = supervisor.session(name);
    await session.query("one");
    const { conversationId } = session.status();
    await session.hibernate();
    await writeFile(await transcriptOf(session), content);
    await session.query("two");
    expect(asked()).toEqual(["two"]);
    expect(session.status().conversationId).not.toBe(conversationId);
  });

  it("does not prevent a conversation from starting", async () => {
    await using supervisor = await started({ activation: "lazy" });
    const session = supervisor.session(name);
    const { conversationId } = session.status();
    const folder = await transcriptFolderOf(await transcriptLocationOf(api.cwd, api.env));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${conversationId}.jsonl`), "");
    await session.query("one");
    expect(asked()).toEqual(["one"]);
  });

  it("quarantines a session that had a conversation", async () => {
    await using supervisor = await started();
    const session = supervisor.session(name);
    await session.query("one");
    await session.hibernate();
    await writeFile(await transcriptOf(session), "");
    await expect(session.query("two")).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
    expect(session.status().lastExit).toMatchObject({ class: "conversation_missing" });
  });
});
