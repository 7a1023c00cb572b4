import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { command } from "../../src/session/options/command.ts";
import type { FakeClaudeOptions, FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("sessionId: is the conversation's id, also after a crash", async () => {
  const sessionId = randomUUID();
  await using scene = await Scene.open({ script: count, session: { sessionId } });
  expect(await query(scene.name, "one")).toMatchObject({ sessionId, text: "0" });
  scene.fake.processes[0]?.crash();
  expect(await query(scene.name, "two")).toMatchObject({ sessionId, text: "2" });
  expect(scene.session.status().conversationId).toBe(sessionId);
});

test("sessionId: continues a conversation that exists", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId } = await query(scene.name, "one");
  await scene.session.stop();
  const again = await scene.supervisor.startSession({ name: unique(), sessionId });
  expect(await again.query("two")).toMatchObject({ sessionId, text: "2" });
});

test("resume: takes over a conversation, and a restart keeps it", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  await scene.session.stop();
  const heir = await scene.supervisor.startSession({ name: unique("heir"), resume });
  expect(await heir.query("two")).toMatchObject({ sessionId: resume, text: "2" });
  await heir.restart();
  expect((await heir.query("three")).text).toBe("4");
});

test("forkSession: starts a conversation from another one, once", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  const fork = await scene.supervisor.startSession({ name: unique("fork"), resume, forkSession: true });
  const first = await fork.query("two");
  expect(first.text).toBe("2");
  expect(first.sessionId).not.toBe(resume);
  expect(first.sessionId).toBe(fork.status().conversationId);
  scene.fake.running.at(-1)?.crash();
  expect(await fork.query("three")).toMatchObject({ sessionId: first.sessionId, text: "4" });
  expect((await query(scene.name, "back here")).text).toBe("2");
});

test("forkSession: forks again when the process dies before its first turn", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  const fork = await scene.supervisor.startSession({ name: unique("fork"), resume, forkSession: true });
  scene.fake.running.at(-1)?.crash();
  await eventually(() => fork.status().state !== "idle");
  expect((await fork.query("two")).text).toBe("2");
  expect(fork.status().conversationId).not.toBe(resume);
});

test("forkSession: keeps the prompt once when the first turn is cut untouched and retried", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "two" && scene.fake.processes.length === 2) await turn.crash();
      await turn.text("ok");
    },
  });
  const { sessionId: resume } = await query(scene.name, "one");
  const fork = await scene.supervisor.startSession({ name: unique("fork"), resume, forkSession: true });
  await fork.query("two");
  expect(scene.transcript(fork).filter((line) => line === "user: two")).toHaveLength(1);
});

test("resumeSessionAt: cuts the conversation back at the first start only", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  await query(scene.name, "two");
  const resumeSessionAt = scene.fake.transcript(resume)[1]?.uuid ?? "";
  await scene.session.stop();
  const heir = await scene.supervisor.startSession({ name: unique("heir"), resume, resumeSessionAt });
  expect((await heir.query("three")).text).toBe("2");
  await heir.restart();
  expect((await heir.query("four")).text).toBe("4");
});

test('command("clear"): moves the session to the new conversation, also over a crash', async () => {
  await using scene = await Scene.open({ script: count });
  const before = await query(scene.name, "one");
  await query(scene.name, command("clear"));
  const after = await query(scene.name, "two");
  expect(after.text).toBe("0");
  expect(after.sessionId).not.toBe(before.sessionId);
  expect(scene.session.status().conversationId).toBe(after.sessionId);
  scene.fake.running[0]?.crash();
  await scene.fake.started(2);
  expect(await query(scene.name, "three")).toMatchObject({ text: "2", sessionId: after.sessionId });
});

test('command("clear"): stays in force when the process crashes right after it', async () => {
  await using scene = await Scene.open({ script: count });
  await query(scene.name, "secret");
  await query(scene.name, command("clear"));
  scene.fake.running[0]?.crash();
  await scene.fake.started(2);
  expect((await query(scene.name, "what did I say?")).text).toBe("0");
  expect(scene.transcript().join()).not.toContain("secret");
});

/** From the second process on, every resume fails. */
const lost: FakeClaudeOptions = {
  startup: (process, n) => {
    const resumes = process.args.some((arg) => arg.startsWith("--resume"));
    if (n > 1 && resumes) process.failStart("No conversation found with session ID: 0");
  },
};

test("onMissingConversation: quarantines the session by default", async () => {
  await using scene = await Scene.open({ script: count, fake: lost });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state === "quarantined");
  const error = await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect(error.details.lastExits.at(-1)?.class).toBe("conversation_missing");
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.transcript()).toHaveLength(2);
});

test('onMissingConversation: "fresh" starts an empty conversation and runs the waiting turn', async () => {
  await using scene = await Scene.open({ script: count, fake: lost, session: { onMissingConversation: "fresh" } });
  const before = await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  const after = await query(scene.name, "two");
  expect(after.text).toBe("0");
  expect(after.sessionId).not.toBe(before.sessionId);
  expect(scene.session.status().restarts).toBe(1);
});

test("resume: rejects startSession() with SESSION_QUARANTINED when the conversation never existed", async () => {
  await using scene = await Scene.open();
  const starting = scene.supervisor.startSession({ name: unique(), resume: randomUUID() });
  const error = await failure(starting, "SESSION_QUARANTINED");
  expect(error.details.lastExits.map((exit) => exit.class)).toEqual(["conversation_missing"]);
});

test("Session: restarts without a transcript before its first turn", async () => {
  await using scene = await Scene.open({ script: count });
  scene.fake.processes[0]?.crash();
  await scene.fake.started(2);
  await scene.session.restart();
  expect((await query(scene.name, "one")).text).toBe("0");
  expect(scene.session.status().state).toBe("idle");
});

test("resumeSessionAt: quarantines the session when the message is missing, and resumes nothing", async () => {
  await using scene = await Scene.open();
  await scene.session.query("one");
  const { conversationId } = scene.session.status();
  await scene.session.stop();
  const options = { name: unique(), resume: conversationId, resumeSessionAt: randomUUID() };
  const error = await failure(scene.supervisor.startSession(options), "SESSION_QUARANTINED");
  expect(error.message).toContain("lacks the message");
});

test("session.clear(): begins an empty conversation also while a restart after a crash is under way", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "die") return await turn.crash({ signal: "SIGKILL" });
      await turn.text(`${turn.history.length}`);
    },
    session: { onInterruptedTurn: "fail" },
  });
  const { session } = scene;
  const { sessionId } = await session.query("one");
  await failure(session.query("die"), "TURN_INTERRUPTED");
  await session.clear();
  const reply = await session.query("two");
  expect(reply.text).toBe("0");
  expect(reply.sessionId).not.toBe(sessionId);
  // It is cleared once: a later restart keeps the conversation.
  await session.restart();
  expect(await session.query("three")).toMatchObject({ text: "2", sessionId: reply.sessionId });
  const moves = await session.pastEvents({ types: ["conversation"] });
  expect(moves).toMatchObject([{ change: "cleared" }]);
});
