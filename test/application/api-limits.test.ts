import { expect, test } from "vitest";
import { query, session } from "../../src/castellan.ts";
import type { FakeTurn } from "../../src/testing/index.ts";
import { failure, Scene, ticks, unique, within } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

/** Rejects a turn with a usage limit. `resetsAt` is in seconds, as the API sends it. */
async function refuse(turn: FakeTurn, resetsAt: number): Promise<void> {
  await turn.emit({ type: "rate_limit_event", rate_limit_info: { status: "rejected", resetsAt } });
  await turn.fail({ status: 429 });
}

test("Usage limit: holds the mailbox until the reset, without a restart", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: (turn) => (turn.index === 1 ? refuse(turn, 60) : turn.text(`after ${turn.history.length}`)),
  });
  await query(scene.name, "before");
  const { details } = await failure(query(scene.name, "one"), "TURN_FAILED");
  expect(details).toMatchObject({ class: "quota", status: 429, retryAt: 60_000 });
  const replies = ["two", "three"].map((prompt) => query(scene.name, prompt));
  expect(scene.session.status()).toMatchObject({
    state: "waiting",
    waitingFor: { for: "quota", until: 60_000 },
    mailbox: 2,
    restarts: 0,
  });
  await clock.advance(59_999);
  expect(scene.fake.processes[0]?.prompts).toEqual(["before", "one"]);
  await clock.advance(1);
  // The rejected prompt is out of the conversation.
  expect((await Promise.all(replies)).map(({ text }) => text)).toEqual(["after 2", "after 4"]);
  expect(scene.fake.processes[0]?.prompts).toEqual(["before", "one", "two", "three"]);
  expect(scene.session.status()).toMatchObject({ state: "idle", starts: 1, restarts: 0 });
  expect(scene.session.status().waitingFor).toBeUndefined();
});

test("Usage limit: a warning holds nothing, nor does the warning of another session", async () => {
  const [warned, other] = [unique("warned"), unique("other")];
  await using _ = await Scene.open({
    children: [{ name: warned }, { name: other }],
    script: async (turn) => {
      const info = { status: "allowed_warning", resetsAt: 4_102_444_800, utilization: 0.9 };
      if (turn.index === 0) await turn.emit({ type: "rate_limit_event", rate_limit_info: info });
      await turn.text("fine");
    },
  });
  for (const name of [warned, warned, other]) expect((await query(name, "hi")).text).toBe("fine");
  for (const name of [warned, other]) expect(session(name).status().state).toBe("idle");
});

test("Usage limit: the hold persists over a crash of the process", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: (turn) => (turn.index === 0 ? refuse(turn, 60) : turn.text("fine")),
  });
  await failure(query(scene.name, "one"), "TURN_FAILED");
  scene.fake.processes[0]?.crash();
  await scene.fake.started(2);
  const reply = query(scene.name, "two");
  await ticks(5);
  expect(scene.session.status()).toMatchObject({ state: "waiting", waitingFor: { for: "quota" }, mailbox: 1 });
  expect(scene.fake.processes[1]?.prompts).toEqual([]);
  await clock.advance(60_000);
  expect((await reply).text).toBe("fine");
});

test("Usage limit: held turns can be cancelled, time out, and fill the mailbox", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    session: { mailboxLimit: 2, queueTimeout: "10s" },
    script: (turn) => (turn.index === 1 ? refuse(turn, 60) : turn.text("fine")),
  });
  await query(scene.name, "before");
  await failure(query(scene.name, "one"), "TURN_FAILED");
  const stopped = scene.session.stream("two");
  const late = failure(query(scene.name, "three"), "QUEUE_TIMEOUT");
  await failure(query(scene.name, "four"), "MAILBOX_FULL");
  await stopped.interrupt();
  await failure(stopped.result(), "TURN_CANCELLED");
  await clock.advance(10_000);
  await late;
  const reply = query(scene.name, "five", { queueTimeout: "1h" });
  expect((await within(clock, reply)).text).toBe("fine");
  expect(scene.fake.processes[0]?.prompts).toEqual(["before", "one", "five"]);
});

test("Overload: doubles the hold with each refusal, and restarts after a success", async () => {
  const clock = new SimulatedClock();
  const waits: number[] = [];
  await using scene = await Scene.open({
    clock,
    script: (turn) => (turn.prompt === "good" ? turn.text("fine") : turn.fail({ status: 529 })),
  });
  for (const prompt of ["good", "bad", "bad", "bad", "good", "bad"]) {
    const asked = query(scene.name, prompt).then(
      () => undefined,
      (error: unknown) => error,
    );
    await within(clock, asked);
    const { waitingFor } = scene.session.status();
    waits.push(waitingFor?.until === undefined ? 0 : waitingFor.until - clock.now());
    if (waitingFor !== undefined) expect(waitingFor.for).toBe("overload");
    if (prompt === "bad")
      expect(await asked).toMatchObject({ details: { class: "overload", retryAt: waitingFor?.until } });
  }
  expect(waits).toEqual([0, 1_000, 2_000, 4_000, 0, 1_000]);
  expect(scene.session.status()).toMatchObject({ state: "waiting", starts: 1, restarts: 0 });
});

test("Refused key: quarantines the session when Claude Code announces its first retry", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      const facts = { attempt: 1, max_retries: 10, retry_delay_ms: 500, error_status: 401 };
      await turn.emit({ type: "system", subtype: "api_retry", ...facts, error: "authentication_failed" });
      await turn.hang();
    },
  });
  const waiting = failure(query(scene.name, "one"), "TURN_FAILED");
  const queued = failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect((await waiting).details).toMatchObject({ class: "auth", status: 401 });
  expect((await queued).details.lastExits.map((exit) => exit.class)).toEqual(["auth"]);
  expect(scene.session.status()).toMatchObject({ state: "quarantined", starts: 1, lastExit: { class: "auth" } });
  expect(scene.fake.processes).toHaveLength(1);
});

test.each([401, 403])("Refused key: a result with status %i quarantines the session", async (status) => {
  await using scene = await Scene.open({ script: (turn) => turn.fail({ status }) });
  expect((await failure(query(scene.name, "one"), "TURN_FAILED")).details).toMatchObject({ class: "auth", status });
  await failure(query(scene.name, "two"), "SESSION_QUARANTINED");
  expect(scene.fake.processes).toHaveLength(1);
});

test("Overload: a retry that Claude Code announces does not quarantine the session", async () => {
  await using scene = await Scene.open({
    script: async (turn) => {
      const facts = { attempt: 1, max_retries: 10, retry_delay_ms: 500, error_status: 529 };
      await turn.emit({ type: "system", subtype: "api_retry", ...facts, error: "overloaded" });
      await turn.text("in the end");
    },
  });
  expect((await query(scene.name, "one")).text).toBe("in the end");
  expect(scene.session.status().state).toBe("idle");
});
