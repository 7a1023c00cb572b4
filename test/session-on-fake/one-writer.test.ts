import { expect, test } from "vitest";
import { Supervisor } from "../../src/application/supervisor.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { fakeClaude } from "../../src/testing/index.ts";
import { run } from "./application.ts";
import { eventually, failure, unique } from "./scene.ts";

/** Runs an application with one name and stops it; returns its conversation and a second name. */
async function stoppedApplication() {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const [a, b] = [unique("a"), unique("b")];
  const first = await run(both, [{ name: a }]);
  const { sessionId: resume } = await first.query(a, "one");
  await first.stop();
  return { both, a, b, resume };
}

test("resume: quarantines the session that owns the conversation, in either order, until the other one clears it", async () => {
  const { both, a, b, resume } = await stoppedApplication();
  for (const children of [
    [{ name: a }, { name: b, resume }],
    [{ name: b, resume }, { name: a }],
  ]) {
    const application = await run(both, children);
    expect(application.notStarted.map(({ name }) => name)).toEqual([a]);
    expect(application.notStarted[0]?.error.message).toMatch(/is already in use by session/);
    expect((await application.query(b, "hi")).sessionId).toBe(resume);
    await application.stop();
  }
  const application = await run(both, [{ name: a }, { name: b, resume }]);
  await application.session(b).clear();
  await application.restartSession(a);
  expect((await application.query(a, "mine again")).sessionId).toBe(resume);
  await application.stop();
  expect(both.fake.running).toEqual([]);
});

test("resume: takes the conversation of a session that is not started, whose start then fails until it is free", async () => {
  const { both, a, b, resume } = await stoppedApplication();
  await using application = await run(both, [{ name: b, resume }]);
  expect((await application.query(b, "two")).sessionId).toBe(resume);
  const error = await failure(application.startSession({ name: a }), "INVALID_OPTIONS");
  expect(error.message).toContain(resume);
  await application.session(b).clear();
  await application.startSession({ name: a });
  expect((await application.query(a, "three")).sessionId).toBe(resume);
  await failure(application.startSession({ name: unique("c"), resume }), "INVALID_OPTIONS");
});

test("session.fork(): starts a new conversation each time, and a restart of the application resumes the last one", async () => {
  const { both, a, b, resume } = await stoppedApplication();
  const application = await run(both, [{ name: a }]);
  const fork = await application.session(a).fork(b);
  const first = (await fork.query("forked")).sessionId;
  await fork.stop();
  await application.query(a, "two");
  const second = (await (await application.session(a).fork(b)).query("forked again")).sessionId;
  expect(new Set([resume, first, second]).size).toBe(3);
  await application.stop();
  await using again = await run(both, [{ name: a }, { name: b }]);
  expect((await again.query(b, "hi")).sessionId).toBe(second);
});

test("resume: rejects a conversation in use by another supervisor of the process", async () => {
  const { both, a, b, resume } = await stoppedApplication();
  await using _ = await run(both, [{ name: a }]);
  await failure(run({ fake: both.fake, journal: memoryJournal() }, [{ name: b, resume }]), "INVALID_OPTIONS");
});

test("Session: is quarantined when Claude Code moves into another session's conversation", async () => {
  const [a, b] = [unique("a"), unique("b")];
  let other = "";
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "move") await turn.emit({ type: "system", subtype: "init", session_id: other });
    await turn.text("fine");
  });
  await using application = await run({ fake, journal: memoryJournal() }, [{ name: a }, { name: b }]);
  other = (await application.query(a, "one")).sessionId;
  const moved = application
    .session(b)
    .query("move")
    .catch((error: unknown) => error);
  await eventually(() => application.session(b).status().state === "quarantined");
  expect(application.session(b).status().lastExit).toMatchObject({ class: "bad_config" });
  expect(application.session(b).status().lastExit?.message).toContain(other);
  await moved;
  expect((await application.query(a, "two")).sessionId).toBe(other);
  await application.restartSession(b);
  expect((await application.query(b, "back")).sessionId).not.toBe(other);
});

test("Journal: is shared by supervisors of one process, and closed with the last one", async () => {
  const { both, a, b } = await stoppedApplication();
  const [one, two] = await Promise.all([run(both, [{ name: a }]), run(both, [{ name: b }], { name: "other" })]);
  await one.query(a, "two");
  await one.stop();
  await two.query(b, "one");
  await two.stop();
  await using three = await Supervisor.start([], { journal: both.journal });
  expect(three.countSessions()).toBe(0);
});
