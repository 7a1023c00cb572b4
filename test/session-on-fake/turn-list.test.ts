import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Session } from "../../src/session/session.ts";
import type { TurnListOptions, TurnSummary } from "../../src/session/turns/turn-summary.ts";
import { appending, event, OWNER } from "../../src/testing/conformance/journal-case.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

/** Reads all turns, page by page. */
async function all(session: Session, options: TurnListOptions = {}): Promise<TurnSummary[]> {
  const found: TurnSummary[] = [];
  for (;;) {
    const before = found.at(-1)?.id;
    const page = await session.turns({ limit: 2, ...options, ...(before !== undefined && { before }) });
    if (page.length === 0) return found;
    found.push(...page);
  }
}

/** A turn that Claude Code begins by itself, and that runs until `release`. */
function heldTurn(): { readonly script: FakeScript; readonly release: () => void } {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const script: FakeScript = async (turn) => {
    await turn.text("by myself");
    const stopped = new Promise<never>((_, reject) => {
      turn.signal.addEventListener("abort", () => reject(turn.signal.reason), { once: true });
    });
    await Promise.race([promise, stopped]);
  };
  return { script, release };
}

test("session.turns(): lists turns that wait, run and have ended, the newest first", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    script: async (turn) => {
      if (turn.prompt === "fail") return await turn.fail({ status: 500, message: "boom" });
      await turn.text(`You said: ${turn.prompt}`);
      if (turn.prompt === "hold") await released;
    },
  });
  const { session } = scene;
  expect(session.current).toBeUndefined();
  expect(await session.turns()).toEqual([]);
  const done = await session.query("one", { metadata: { n: 1 } });
  const failed = session.stream("fail");
  await failed.result().catch(() => {});
  const running = session.stream("hold");
  const waiting = session.stream(`long ${"x".repeat(2_000)}`);
  await eventually(() => session.current?.id === running.id);
  const turns = await all(session);
  expect(turns.map(({ id, state }) => [id, state])).toEqual([
    [waiting.id, "queued"],
    [running.id, "running"],
    [failed.id, "failed"],
    [done.turnId, "completed"],
  ]);
  expect(turns[0]?.prompt).toBe(`long ${"x".repeat(995)}`);
  expect(turns[1]).toMatchObject({ origin: "caller", attempts: 1, promptId: running.promptId });
  expect(turns[2]?.error).toMatchObject({ code: "TURN_FAILED" });
  const { model, costUsd } = done;
  expect(turns[3]).toMatchObject({ metadata: { n: 1 }, prompt: "one", model, costUsd, endedAt: expect.any(Number) });
  expect((await all(session, { state: "running" })).map(({ id }) => id)).toEqual([running.id]);
  expect((await all(session, { state: ["queued", "completed"] })).map(({ id }) => id)).toEqual([
    waiting.id,
    done.turnId,
  ]);
  expect(session.status().turn?.id).toBe(running.id);
  release();
  await waiting.result();
  expect(session.current).toBeUndefined();
});

test("session.turns(): refuses wrong options, and a turn that the session does not have", async () => {
  await using scene = await Scene.open({ children: [{ name: unique() }, { name: unique() }] });
  const [one, two] = scene.supervisor.listSessions().map(({ name }) => scene.supervisor.session(name));
  if (one === undefined || two === undefined) throw new Error("there are two sessions");
  const { turnId } = await two.query("hello");
  const wrong = [{ state: "done" }, { limit: 0 }, { limit: 1_001 }, { before: 5 }, { after: "x" }];
  for (const options of wrong) await failure(one.turns(options as TurnListOptions), "INVALID_OPTIONS");
  for (const before of [turnId, "unknown"]) {
    const error = await failure(one.turns({ before }), "INVALID_OPTIONS");
    expect(error.details.problems[0]?.field).toBe("before");
  }
  expect(await two.turns({ before: turnId })).toEqual([]);
});

test("session.turns(): has the turns that Claude Code began by itself, while they run and later", async () => {
  await using scene = await Scene.open();
  const { session } = scene;
  const { turnId } = await session.query("one");
  const own = heldTurn();
  scene.fake.processes[0]?.beginTurn(own.script, "schedule");
  await eventually(() => session.current !== undefined);
  const { current } = session;
  expect(current?.origin).toBe("schedule");
  const waiting = session.stream("two");
  const id = current?.id ?? "";
  const running = await all(session, { limit: 1 });
  expect(running.map((turn) => [turn.id, turn.state])).toEqual([
    [id, "running"],
    [waiting.id, "queued"],
    [turnId, "completed"],
  ]);
  expect((await session.turns({ state: "running" })).map((turn) => turn.id)).toEqual([id]);
  own.release();
  await waiting.result();
  const ended = await all(session);
  expect(ended.find((turn) => turn.id === id)).toMatchObject({
    state: "completed",
    origin: "schedule",
    prompt: "",
    attempts: 1,
    costUsd: 0.01,
  });
  expect(new Set(ended.map((turn) => turn.id)).size).toBe(3);
});

test("session.turns(): lists the turns of earlier applications, and those that died with them", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const first = await run(both, [{ name }]);
  const session = first.session(name);
  const { turnId } = await session.query("one");
  const own = heldTurn();
  both.fake.processes[0]?.beginTurn(own.script);
  await eventually(() => session.current !== undefined);
  const id = session.current?.id ?? "";
  // The journal of an application that was killed now.
  const changes = await both.journal.turns({ session: JSON.stringify(name), limit: 10 });
  expect(changes.map((turn) => turn.id)).toEqual([turnId]);
  own.release();
  await eventually(() => session.current === undefined);
  await first.stop();
  await using second = await run(both, [{ name }]);
  const turns = await second.session(name).turns();
  expect(turns.map((turn) => [turn.id, turn.origin, turn.state])).toEqual([
    [id, "task", "completed"],
    [turnId, "caller", "completed"],
  ]);
  const found = await second.session(name).turn(id);
  expect(found?.origin).toBe("task");
  expect((await found?.result())?.text).toBe("by myself");
  await second.stop();
  expectNothingLeft(both.fake);
});

test("session.turns(): lists a turn that Claude Code had begun by itself when the application died", async () => {
  const both = { fake: fakeClaude(), journal: memoryJournal() };
  const name = unique();
  const key = JSON.stringify(name);
  await both.journal.open(OWNER);
  const own = { session: key, turn: "own", at: Date.now() };
  const accepted = event(1, { ...own, type: "turn_accepted", body: { v: 1, origin: "schedule" } });
  const started = event(2, { ...own, type: "turn_started", body: { v: 1, attempt: 1 } });
  await both.journal.write({ number: 1, changes: appending(accepted, started), durable: true });
  await both.journal.close();
  await using supervisor = await run(both, [{ name }]);
  const turns = await supervisor.session(name).turns();
  expect(turns).toEqual([
    {
      id: "own",
      state: "interrupted",
      origin: "schedule",
      prompt: "",
      attempts: 1,
      acceptedAt: accepted.at,
      endedAt: expect.any(Number),
      error: { code: "TURN_INTERRUPTED", message: expect.any(String) },
    },
  ]);
  const turn = await supervisor.session(name).turn("own");
  await failure(turn?.result() ?? Promise.resolve(), "TURN_INTERRUPTED");
});

test("reply.models: has what the turn used of each model, and reply.model the one that answered", async () => {
  await using scene = await Scene.open();
  const one = await scene.session.query("one");
  const two = await scene.session.query("two");
  expect(one.model).toEqual(expect.any(String));
  for (const { models, costUsd, usage } of [one, two]) {
    expect(models).toHaveLength(1);
    expect(models[0]).toMatchObject({ costUsd, usage });
  }
});
