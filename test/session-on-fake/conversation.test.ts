import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { command } from "../../src/session/options/command.ts";
import type { FakeClaudeOptions, FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("`sessionId` is the id of the conversation, also after a crash", async () => {
  const sessionId = randomUUID();
  await using scene = await Scene.open({ script: count, session: { sessionId } });
  expect(await query(scene.name, "one")).toMatchObject({ sessionId, text: "0" });
  scene.fake.processes[0]?.crash();
  expect(await query(scene.name, "two")).toMatchObject({ sessionId, text: "2" });
  expect(scene.session.status().conversationId).toBe(sessionId);
});

test("`sessionId` of a conversation that already exists goes on with it", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId } = await query(scene.name, "one");
  await scene.session.stop();
  const again = await scene.supervisor.startSession({ name: unique(), sessionId });
  expect(await again.query("two")).toMatchObject({ sessionId, text: "2" });
});

test("`resume` takes over a conversation", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  await scene.session.stop();
  const heir = await scene.supervisor.startSession({ name: unique("heir"), resume });
  expect(await heir.query("two")).toMatchObject({ sessionId: resume, text: "2" });
  await heir.restart();
  expect((await heir.query("three")).text).toBe("4");
});

test("`forkSession` begins a conversation of its own with what another one remembers, once", async () => {
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

test("a fork whose process dies before its first turn is made again", async () => {
  await using scene = await Scene.open({ script: count });
  const { sessionId: resume } = await query(scene.name, "one");
  const fork = await scene.supervisor.startSession({ name: unique("fork"), resume, forkSession: true });
  scene.fake.running.at(-1)?.crash();
  await eventually(() => fork.status().state !== "idle");
  expect((await fork.query("two")).text).toBe("2");
  expect(fork.status().conversationId).not.toBe(resume);
});

test("a fork whose first turn is cut untouched sees the prompt once", async () => {
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

test("`resumeSessionAt` cuts back at the first start only", async () => {
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

test("Claude's own `/clear` moves the session to the new conversation, for good", async () => {
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

test("a crash right after `/clear` does not bring back what was forgotten", async () => {
  await using scene = await Scene.open({ script: count });
  await query(scene.name, "secret");
  await query(scene.name, command("clear"));
  scene.fake.running[0]?.crash();
  await scene.fake.started(2);
  expect((await query(scene.name, "what did I say?")).text).toBe("0");
  expect(scene.transcript().join()).not.toContain("secret");
});

/** From the second process on, nothing can be resumed. */
const lost: FakeClaudeOptions = {
  startup: (process, n) => {
    const resumes = process.args.some((arg) => arg.startsWith("--resume"));
    if (n > 1 && resumes) process.failStart("No conversation found with session ID: 0");
  },
};

test("a conversation that is gone quarantines the session: it does not forget by itself", async () => {
  await using scene = await Scene.open({ script: count, fake: lost });
  await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state === "quarantined");
  const error = await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect(error.details.lastExits.at(-1)?.class).toBe("conversation_missing");
  expect(scene.fake.processes).toHaveLength(2);
  expect(scene.transcript()).toHaveLength(2);
});

test("with `fresh` it goes on with an empty one, and the turn that waits runs", async () => {
  await using scene = await Scene.open({ script: count, fake: lost, session: { onMissingConversation: "fresh" } });
  const before = await query(scene.name, "one");
  scene.fake.processes[0]?.crash();
  const after = await query(scene.name, "two");
  expect(after.text).toBe("0");
  expect(after.sessionId).not.toBe(before.sessionId);
  expect(scene.session.status().restarts).toBe(1);
});

test("a conversation to resume that never was is reported at the start", async () => {
  await using scene = await Scene.open();
  const starting = scene.supervisor.startSession({ name: unique(), resume: randomUUID() });
  const error = await failure(starting, "SESSION_QUARANTINED");
  expect(error.details.lastExits.map((exit) => exit.class)).toEqual(["conversation_missing"]);
});

test("a session that was never asked anything restarts without a transcript", async () => {
  await using scene = await Scene.open({ script: count });
  scene.fake.processes[0]?.crash();
  await scene.fake.started(2);
  await scene.session.restart();
  expect((await query(scene.name, "one")).text).toBe("0");
  expect(scene.session.status().state).toBe("idle");
});

test("a cut that the options ask for and that cannot be made quarantines the session, instead of showing it all", async () => {
  await using scene = await Scene.open();
  await scene.session.query("one");
  const { conversationId } = scene.session.status();
  await scene.session.stop();
  const options = { name: unique(), resume: conversationId, resumeSessionAt: randomUUID() };
  const error = await failure(scene.supervisor.startSession(options), "SESSION_QUARANTINED");
  expect(error.message).toContain("lacks the message");
});
