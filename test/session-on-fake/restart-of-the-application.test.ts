import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { session } from "../../src/castellan.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { command } from "../../src/session/options/command.ts";
import { fakeClaude, SimulatedClock } from "../../src/testing/index.ts";
import { expectNothingLeft, run, said } from "./application.ts";
import { collect, failure, unique, within } from "./scene.ts";

const setUp = (script?: Parameters<typeof fakeClaude>[0]) => ({ fake: fakeClaude(script), journal: memoryJournal() });

test("Recovery: a name keeps its conversation", async () => {
  const both = setUp();
  const name = unique();
  const first = await run(both, [{ name }]);
  const { sessionId } = await first.query(name, "one");
  await first.stop();
  await using second = await run(both, [{ name }]);
  expect(second.session(name).status().conversationId).toBe(sessionId);
  expect((await second.query(name, "two")).sessionId).toBe(sessionId);
  expect(said(both.fake, sessionId)).toEqual([
    "user: one",
    "assistant: You said: one",
    "user: two",
    "assistant: You said: two",
  ]);
  await second.stop();
  expectNothingLeft(both.fake);
});

test("Recovery: cleared, moved and forked conversations stay as they were", async () => {
  const both = setUp();
  const [name, fork] = [unique(), unique("fork")];
  const first = await run(both, [{ name }]);
  await first.query(name, "forgotten");
  await first.session(name).clear();
  await first.query(name, "kept");
  await (await first.session(name).fork(fork)).query("forked");
  await first.query(name, command("clear"));
  await first.query(name, "after");
  const ids = [name, fork].map((which) => first.session(which).status().conversationId);
  await first.stop();
  await using second = await run(both, [{ name }, { name: fork }]);
  expect([name, fork].map((which) => second.session(which).status().conversationId)).toEqual(ids);
  await second.query(name, "again");
  await second.query(fork, "again");
  const prompts = ids.map((id) => said(both.fake, id).filter((line) => line.startsWith("user")));
  expect(prompts).toEqual([
    ["user: after", "user: again"],
    ["user: kept", "user: forked", "user: again"],
  ]);
});

test.each(["kept", "cleared"])(
  "Recovery: a fork without a turn keeps what it copies of a %s conversation",
  async (how) => {
    const both = setUp();
    const [name, fork] = [unique(), unique("fork")];
    const first = await run(both, [{ name }]);
    await first.query(name, "kept");
    await first.session(name).fork(fork);
    if (how === "cleared") await first.session(name).clear();
    await first.stop();
    await using second = await run(both, [{ name }, { name: fork }]);
    const { sessionId } = await second.query(fork, "again");
    expect(said(both.fake, sessionId).filter((line) => line.startsWith("user"))).toEqual(["user: kept", "user: again"]);
    expect(second.session(fork).status().faults).toEqual([]);
  },
);

test("Recovery: a conversation that was cleared before the stop stays forgotten", async () => {
  const both = setUp();
  const name = unique();
  const first = await run(both, [{ name }]);
  const { sessionId } = await first.query(name, "forgotten");
  await first.session(name).clear();
  await first.stop();
  await using second = await run(both, [{ name }]);
  const reply = await second.query(name, "new");
  expect(reply.sessionId).not.toBe(sessionId);
  expect(said(both.fake, reply.sessionId)).toEqual(["user: new", "assistant: You said: new"]);
});

test("Recovery: a session without a turn starts afresh", async () => {
  const both = setUp();
  const name = unique();
  await (await run(both, [{ name }])).stop();
  await using second = await run(both, [{ name }]);
  expect((await second.query(name, "one")).text).toBe("You said: one");
});

test("Recovery: changed options keep the conversation, unless they name another one", async () => {
  const both = setUp();
  const [name, resume] = [unique(), randomUUID()];
  const first = await run(both, [{ name }, { name: unique("donor"), sessionId: resume }]);
  const { sessionId } = await first.query(name, "one");
  await first.query(first.listSessions()[1]?.name ?? "", "the donor's");
  await first.stop();
  const second = await run(both, [{ name, systemPrompt: "Be brief.", model: "claude-other", cwd: "/" }]);
  expect((await second.query(name, "two")).sessionId).toBe(sessionId);
  await second.stop();
  const third = await run(both, [{ name, resume }]);
  expect((await third.query(name, "three")).sessionId).toBe(resume);
  await third.session(name).clear();
  const { sessionId: cleared } = await third.query(name, "four");
  expect(cleared).not.toBe(resume);
  await third.stop();
  // `resume` names the origin; the journal knows that the conversation has moved since.
  const fourth = await run(both, [{ name, resume }]);
  expect((await fourth.query(name, "five")).sessionId).toBe(cleared);
  await fourth.stop();
  const fifth = await run(both, [{ name }]);
  expect((await fifth.query(name, "six")).sessionId).toBe(cleared);
  await fifth.stop();
});

test("Recovery: tuple names with equal text are distinct", async () => {
  const both = setUp();
  const id = randomUUID();
  const names = [["user", id, 1], ["user", id, "1"], `user-${id}`] as const;
  const first = await run(
    both,
    names.map((name) => ({ name })),
  );
  const ids = await Promise.all(names.map(async (name) => (await first.query(name, "hi")).sessionId));
  await first.stop();
  await using second = await run(
    both,
    names.map((name) => ({ name })),
  );
  expect(second.listSessions().map(({ conversationId }) => conversationId)).toEqual(ids);
});

test.each(["fail", "fresh"] as const)(
  "onMissingConversation: applies after a restart without the transcript: %s",
  async (onMissingConversation) => {
    const { journal } = setUp();
    const name = unique();
    const first = await run({ journal, fake: fakeClaude() }, [{ name }]);
    const { sessionId } = await first.query(name, "one");
    await first.stop();
    const elsewhere = fakeClaude();
    const second = await run({ journal, fake: elsewhere }, [{ name, onMissingConversation }]);
    if (onMissingConversation === "fail") {
      const error = await failure(second.query(name, "two"), "SESSION_QUARANTINED");
      expect(error.details.lastExits.at(-1)?.class).toBe("conversation_missing");
    } else {
      const reply = await second.query(name, "two");
      expect(reply.sessionId).not.toBe(sessionId);
      expect(said(elsewhere, reply.sessionId)).toEqual(["user: two", "assistant: You said: two"]);
    }
    await second.stop();
    const third = await run({ journal, fake: elsewhere }, [{ name, onMissingConversation }]);
    if (onMissingConversation === "fail") expect(third.session(name).status().conversationId).toBe(sessionId);
    else expect((await third.query(name, "three")).text).toBe("You said: three");
    await third.stop();
  },
);

test("Recovery: enqueued turns run in order after the restart, and queries of the former process do not", async () => {
  const open = Promise.withResolvers<void>();
  const both = setUp(async (turn) => {
    if (turn.prompt === "hold") await open.promise;
    await turn.text(`re: ${turn.prompt}`);
  });
  const name = unique();
  const first = await run(both, [{ name }]);
  const held = failure(first.query(name, "hold"), "TURN_INTERRUPTED");
  await both.fake.prompted(1);
  const ids = [await first.session(name).enqueue("one"), await first.session(name).enqueue("two")];
  const waitedFor = failure(first.query(name, "not this one"), "SUPERVISOR_STOPPED");
  const urgent = await first.session(name).enqueue("three");
  const handles = await Promise.all(ids.map((id) => first.session(name).turn(id)));
  const here = handles.map((turn) => failure(turn?.result() ?? Promise.resolve(), "SUPERVISOR_STOPPED"));
  await first.stop();
  await Promise.all([held, waitedFor, ...here]);

  await using second = await run(both, [{ name }]);
  const found = await Promise.all([...ids, urgent].map((id) => second.session(name).turn(id)));
  const texts = await Promise.all(found.map(async (turn) => (await turn?.result())?.text));
  expect(texts).toEqual(["re: one", "re: two", "re: three"]);
  expect(both.fake.processes[1]?.prompts).toEqual(["one", "two", "three"]);
});

test("Recovery: a running turn that had shown nothing runs again, and its prompt is in the conversation once", async () => {
  let hang = true;
  const both = setUp(async (turn) => (hang && turn.prompt === "two" ? turn.hang() : turn.text(`re: ${turn.prompt}`)));
  const name = unique();
  const first = await run(both, [{ name }]);
  await first.query(name, "one");
  const id = await first.session(name).enqueue("two");
  await both.fake.prompted(2);
  await first.stop();
  hang = false;
  await using second = await run(both, [{ name }]);
  const turn = await second.session(name).turn(id);
  const reply = await turn?.result();
  expect(reply?.text).toBe("re: two");
  expect(said(both.fake, reply?.sessionId ?? "").filter((line) => line === "user: two")).toHaveLength(1);
});

test("Recovery: a running turn that had begun to answer is settled by `onInterruptedTurn`", async () => {
  for (const onInterruptedTurn of ["retry_if_untouched", "fail", "retry"] as const) {
    let cut = true;
    const both = setUp(async (turn) => {
      if (!cut || turn.prompt !== "two") return turn.text(`re: ${turn.prompt}`);
      await turn.partial("half of it");
      await turn.hang();
    });
    const name = unique();
    const first = await run(both, [{ name, onInterruptedTurn }]);
    await first.query(name, "one");
    const id = await first.session(name).enqueue("two");
    const seen = await first.session(name).turn(id);
    for await (const _ of seen?.text() ?? []) break;
    await first.stop();
    cut = false;
    await using second = await run(both, [{ name, onInterruptedTurn }]);
    const turn = await second.session(name).turn(id);
    if (onInterruptedTurn === "retry") expect((await turn?.result())?.text).toBe("re: two");
    else {
      const error = await failure(turn?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
      expect(error.details.turnId).toBe(id);
    }
    expect((await second.query(name, "three")).text).toBe("re: three");
  }
});

test("Recovery: ended turns return their reply or error, as result and as streams", async () => {
  const both = setUp(async (turn) => {
    if (turn.prompt === "bad") return turn.result({ subtype: "error_max_turns" });
    await turn.text(`re: ${turn.prompt}`);
  });
  const name = unique();
  const first = await run(both, [{ name }]);
  const good = await first.session(name).enqueue("good");
  const bad = await first.session(name).enqueue("bad");
  const replied = await (await first.session(name).turn(good))?.result();
  await failure((await first.session(name).turn(bad))?.result() ?? Promise.resolve(), "TURN_FAILED");
  await first.stop();
  await using second = await run(both, [{ name }]);
  const [one, two] = [await second.session(name).turn(good), await second.session(name).turn(bad)];
  expect([one?.state, two?.state, one?.recalled]).toEqual(["completed", "failed", true]);
  expect(await one?.result()).toEqual(replied);
  expect(await collect(one?.text() ?? (async function* () {})())).toEqual(["re: good"]);
  const response = await one?.toResponse().text();
  expect(response).toContain('event: text\ndata: {"text":"re: good"}');
  expect(response).toContain("event: result");
  expect(await one?.toUIMessageStreamResponse().text()).toContain('"delta":"re: good"');
  const error = await failure(two?.result() ?? Promise.resolve(), "TURN_FAILED");
  expect(error.details).toMatchObject({ class: "turn", turnId: bad });
  expect(await two?.toResponse().text()).toContain('"code":"TURN_FAILED"');
  await one?.interrupt();
  expect(both.fake.processes[1]?.prompts).toEqual([]);
});

test("session.turn(): does not find another session's turn", async () => {
  const both = setUp();
  const [a, b] = [unique("a"), unique("b")];
  await using application = await run(both, [{ name: a }, { name: b }]);
  const id = await application.session(a).enqueue("hi");
  expect((await application.session(a).turn(id))?.id).toBe(id);
  expect(await application.session(b).turn(id)).toBeUndefined();
});

test("Recovery: a queued turn keeps its deadline over the restart", async () => {
  const clock = new SimulatedClock();
  const both = { ...setUp((turn) => (turn.prompt === "patient" ? turn.text("done") : turn.hang())), clock };
  const name = unique();
  const first = await run(both, [{ name }]);
  void first.query(name, "hold").catch(() => {});
  await both.fake.prompted(1);
  const late = await first.session(name).enqueue("late", { timeout: "1m" });
  const patient = await first.session(name).enqueue("patient", { timeout: "1h" });
  await clock.advance(59_000);
  await first.stop();
  await using second = await run(both, [{ name }]);
  const turns = await Promise.all([late, patient].map((id) => second.session(name).turn(id)));
  const ended = failure(turns[0]?.result() ?? Promise.resolve(), "TURN_TIMEOUT");
  await clock.advance(999);
  expect(turns[0]?.state).toBe("running");
  await clock.advance(1);
  await ended;
  expect((await within(clock, turns[1]?.result() ?? Promise.reject()))?.text).toBe("done");
});

test("terminateSession(): keeps the conversation and cancels queued turns", async () => {
  const both = setUp(async (turn) => (turn.prompt === "hold" ? turn.hang() : turn.text(`re: ${turn.prompt}`)));
  const name = unique();
  await using application = await run(both, [{ name }]);
  const { sessionId } = await application.query(name, "one");
  void application.query(name, "hold").catch(() => {});
  await both.fake.prompted(2);
  const id = await application.session(name).enqueue("never");
  await application.terminateSession(name);
  const again = await application.startSession({ name });
  expect((await again.turn(id))?.state).toBe("cancelled");
  expect((await again.query("two")).sessionId).toBe(sessionId);
  expect(both.fake.processes.flatMap(({ prompts }) => prompts)).not.toContain("never");
});

test("Recovery: turns that are asked for during the start come after the journal's", async () => {
  const both = setUp(async (turn) => (turn.prompt === "hold" ? turn.hang() : turn.text(turn.prompt)));
  const name = unique();
  const first = await run(both, [{ name }]);
  void first.query(name, "hold").catch(() => {});
  await both.fake.prompted(1);
  const id = await first.session(name).enqueue("one", { idempotencyKey: "one" });
  await first.session(name).enqueue("two");
  await first.stop();
  const starting = run(both, [{ name }]);
  const asked = [session(name).query("three"), session(name).query("one", { idempotencyKey: "one" })];
  await using _ = await starting;
  const [three, one] = await Promise.all(asked);
  expect([three?.text, one?.turnId]).toEqual(["three", id]);
  expect(both.fake.processes[1]?.prompts).toEqual(["one", "two", "three"]);
});

test('terminateSession({ conversation: "clear" }): forgets conversation and turns, and keeps the costs', async () => {
  const both = setUp();
  const name = unique();
  const first = await run(both, [{ name }]);
  const { sessionId, turnId, costUsd } = await first.query(name, "one", { idempotencyKey: "k" });
  await first.terminateSession(name, { conversation: "clear" });
  const again = await first.startSession({ name });
  expect(await again.turn(turnId)).toBeUndefined();
  expect((await again.query("one", { idempotencyKey: "k" })).sessionId).not.toBe(sessionId);
  expect((await again.usage())[0]?.costUsd).toBeCloseTo(costUsd * 2);
  await again.stop({ conversation: "clear" });
  await first.stop();
  await using second = await run(both, [{ name }]);
  const reply = await second.query(name, "two");
  expect(said(both.fake, reply.sessionId)).toEqual(["user: two", "assistant: You said: two"]);
  await failure(second.terminateSession(name, { conversation: "clean" as "clear" }), "INVALID_OPTIONS");
  expect(second.countSessions()).toBe(1);
});

test("Turn.continues: tells a turn that the next start continues from one that has ended", async () => {
  const both = setUp((turn) => (turn.prompt === "work" ? turn.hang() : turn.text("done")));
  const name = unique();
  const first = await run(both, [{ name }]);
  const done = first.stream(name, "done");
  await done.result();
  const busy = first.stream(name, "work");
  const id = await first.session(name).enqueue("later");
  const later = await first.session(name).turn(id);
  expect([done, busy, later].map((turn) => turn?.continues)).toEqual([false, false, false]);
  await first.stop();
  await failure(busy.result(), "TURN_INTERRUPTED");
  // Nobody has the id of a turn that was not enqueued.
  expect([done, busy, later].map((turn) => turn?.continues)).toEqual([false, false, true]);
  await using second = await run(both, [{ name }]);
  const again = await second.session(name).turn(id);
  expect((await again?.result())?.text).toBe("done");
  expect(again?.continues).toBe(false);
  await second.stop();
  expectNothingLeft(both.fake);
});
