import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, unique } from "./scene.ts";

/** Prompts that begin with "long" get a partial answer and never end by themselves. */
const long: FakeScript = async (turn) => {
  if (!turn.prompt.startsWith("long")) return turn.text(`re: ${turn.prompt}`);
  await turn.partial("so far");
  await turn.hang();
};

test('whenBusy: "interrupt" interrupts the running turn and goes before queued ones', async () => {
  await using scene = await Scene.open({ script: long });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const waiting = query(scene.name, "waiting");
  const urgent = query(scene.name, "urgent", { whenBusy: "interrupt" });
  const error = await failure(one.result(), "TURN_INTERRUPTED");
  expect(error.details).toMatchObject({ turnId: one.id, partialText: "so far" });
  expect((await urgent).text).toBe("re: urgent");
  expect((await waiting).text).toBe("re: waiting");
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["long", "urgent", "waiting"]]);
  expect(scene.transcript()).toContain("user: long");
  expect(scene.session.status()).toMatchObject({ restarts: 0, starts: 1, state: "idle" });
});

test('whenBusy: "interrupt" goes before queued turns when no turn runs', async () => {
  const up = Promise.withResolvers<void>();
  await using scene = await Scene.open({ fake: { startup: (_, n) => (n === 2 ? up.promise : undefined) } });
  scene.fake.processes[0]?.crash();
  await eventually(() => scene.session.status().state === "restarting");
  const waiting = query(scene.name, "waiting");
  const urgent = query(scene.name, "urgent", { whenBusy: "interrupt" });
  up.resolve();
  await Promise.all([waiting, urgent]);
  expect(scene.fake.processes[1]?.prompts).toEqual(["urgent", "waiting"]);
});

test("whenBusy: a turn's own value overrides the session's", async () => {
  await using scene = await Scene.open({ script: long, session: { whenBusy: "interrupt" } });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const waits = query(scene.name, "waits", { whenBusy: "enqueue" });
  expect(scene.session.status().mailbox).toBe(1);
  const [error, reply] = await Promise.all([
    failure(one.result(), "TURN_INTERRUPTED"),
    query(scene.name, "takes over"),
  ]);
  expect(error.details.turnId).toBe(one.id);
  expect(reply.text).toBe("re: takes over");
  await waits;
});

test('whenBusy: "interrupt" kills a process that does not yield, as "stalled"', async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: long, fake: { ignoreInterrupt: true } });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const next = query(scene.name, "next", { whenBusy: "interrupt" });
  const cut = failure(one.result(), "TURN_INTERRUPTED");
  await clock.advance(5_000);
  expect((await cut).details.exit?.class).toBe("stalled");
  expect((await next).text).toBe("re: next");
  expect(scene.fake.processes[1]?.prompts).toEqual(["next"]);
});

test('whenBusy: "rollback" removes the interrupted turn from the conversation without a restart', async () => {
  await using scene = await Scene.open({ script: long });
  await query(scene.name, "before");
  const { conversationId } = scene.session.status();
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const waiting = query(scene.name, "waiting");
  const instead = query(scene.name, "instead", { whenBusy: "rollback" });
  await failure(one.result(), "TURN_INTERRUPTED");
  await Promise.all([instead, waiting]);
  expect(scene.transcript()).toEqual([
    "user: before",
    "assistant: re: before",
    "user: instead",
    "assistant: re: instead",
    "user: waiting",
    "assistant: re: waiting",
  ]);
  expect(scene.session.status()).toMatchObject({ conversationId, restarts: 0, starts: 1, state: "idle" });
  expect(scene.session.status().lastExit).toBeUndefined();
  expect(scene.log).toEqual([]);
});

test('whenBusy: "rollback" of the first turn leaves an empty conversation for the next', async () => {
  await using scene = await Scene.open({ script: long });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  await Promise.all([
    failure(one.result(), "TURN_INTERRUPTED"),
    query(scene.name, "instead", { whenBusy: "rollback" }),
  ]);
  expect(scene.transcript()).toEqual(["user: instead", "assistant: re: instead"]);
  expect(scene.session.status().restarts).toBe(0);
});

test(`whenBusy: "rollback" of a fork's first turn leaves the conversation of its origin`, async () => {
  await using scene = await Scene.open({ script: long });
  await query(scene.name, "before");
  const fork = await scene.session.fork(unique("fork"));
  const one = fork.stream("long");
  for await (const _ of one.text()) break;
  await Promise.all([failure(one.result(), "TURN_INTERRUPTED"), fork.query("instead", { whenBusy: "rollback" })]);
  expect(scene.transcript(fork)).toEqual([
    "user: before",
    "assistant: re: before",
    "user: instead",
    "assistant: re: instead",
  ]);
  expect(scene.transcript()).toEqual(["user: before", "assistant: re: before"]);
});

test('whenBusy: "rollback" removes a turn whose process dies during it', async () => {
  await using scene = await Scene.open({ script: long, fake: { ignoreInterrupt: true } });
  await query(scene.name, "before");
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const instead = query(scene.name, "instead", { whenBusy: "rollback" });
  scene.fake.processes[0]?.crash({ signal: "SIGKILL" });
  const error = await failure(one.result(), "TURN_INTERRUPTED");
  expect(error.details.exit).toMatchObject({ signal: "SIGKILL" });
  expect((await instead).text).toBe("re: instead");
  expect(scene.transcript()).toEqual([
    "user: before",
    "assistant: re: before",
    "user: instead",
    "assistant: re: instead",
  ]);
  // The crash counts as a restart.
  expect(scene.session.status().restarts).toBe(1);
});

test("whenBusy: two rollbacks in a row remove two turns", async () => {
  await using scene = await Scene.open({ script: long });
  await query(scene.name, "before");
  const one = stream(scene.name, "long one");
  for await (const _ of one.text()) break;
  const two = stream(scene.name, "long two", { whenBusy: "rollback" });
  for await (const _ of two.text()) break;
  const three = query(scene.name, "three", { whenBusy: "rollback" });
  await failure(one.result(), "TURN_INTERRUPTED");
  await failure(two.result(), "TURN_INTERRUPTED");
  expect((await three).text).toBe("re: three");
  expect(scene.transcript()).toEqual(["user: before", "assistant: re: before", "user: three", "assistant: re: three"]);
  expect(scene.session.status()).toMatchObject({ restarts: 0, starts: 1 });
});

test("whenBusy: two simultaneous rollbacks remove the running turn once, and the later one runs first", async () => {
  await using scene = await Scene.open({ script: long });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const replies = Promise.all(["two", "three"].map((prompt) => query(scene.name, prompt, { whenBusy: "rollback" })));
  await failure(one.result(), "TURN_INTERRUPTED");
  expect((await replies).map(({ text }) => text)).toEqual(["re: two", "re: three"]);
  expect(scene.fake.processes.map(({ prompts }) => prompts)).toEqual([["long"], ["three", "two"]]);
  expect(scene.transcript()).not.toContain("user: long");
});

test('whenBusy: "rollback" keeps a turn that completes before the interrupt takes effect', async () => {
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    fake: { ignoreInterrupt: true },
    script: async (turn) => {
      if (turn.prompt === "one") await open.promise;
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const one = query(scene.name, "one");
  await scene.fake.prompted(1);
  const two = query(scene.name, "two", { whenBusy: "rollback" });
  open.resolve();
  expect((await one).text).toBe("re: one");
  await two;
  expect(scene.transcript()).toEqual(["user: one", "assistant: re: one", "user: two", "assistant: re: two"]);
  expect(scene.session.status()).toMatchObject({ starts: 1 });
});

test("session.stop(): during a rollback rejects the waiting turn and starts no process", async () => {
  await using scene = await Scene.open({ script: long });
  const one = stream(scene.name, "long");
  for await (const _ of one.text()) break;
  const two = failure(query(scene.name, "two", { whenBusy: "rollback" }), "SESSION_STOPPED");
  await failure(one.result(), "TURN_INTERRUPTED");
  await scene.session.stop();
  await two;
  expect(scene.fake.running).toEqual([]);
});
