import { expect, test } from "vitest";
import { checkout, query, session, stream, use } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { collect, eventually, failure, Scene, thrown, ticks, unique } from "./scene.ts";

/** Answers with the number of messages in the conversation; `hold` runs until it is interrupted. */
const script: FakeScript = async (turn) => {
  if (turn.prompt === "hold") {
    await turn.partial("I");
    await turn.hang();
  }
  await turn.text(`${turn.history.length}`);
};

test("pool.checkout(): starts each loan with an empty conversation", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const conversations = new Set<string>();
  for (let round = 0; round < 3; round++) {
    await using loan = await checkout(name);
    expect((await loan.session.query("hi")).text).toBe("0");
    expect((await loan.session.query("hi")).text).toBe("2");
    expect(loan).toMatchObject({ pool: name, ended: false, endsAt: undefined });
    conversations.add(loan.session.sessionId);
    expect(scene.supervisor.pool(name).status()).toMatchObject({ lent: 1, idle: 0 });
  }
  expect(conversations.size).toBe(3);
  expect(await use(name, async (one) => (await one.query("hi")).text)).toBe("0");
});

test("pool.use(): checks the member in when the function returns or throws", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const wrong = use(name, () => {
    throw new Error("mine");
  });
  await expect(wrong).rejects.toThrow("mine");
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 1);
  expect(await pool_.use(async (one) => (await one.query("hi")).text)).toBe("0");
  await expect(use(name, () => {}, { timeout: "soon" })).rejects.toThrow("timeout");
});

test("Loan: rejects every call after its check-in with LOAN_ENDED, and does not touch the next loan", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1, approvals: true })] });
  const first = await checkout(name);
  const { session: handle } = first;
  const turn = handle.stream("hi");
  await turn.result();
  const events = collect(handle.events());
  await first.checkin();
  expect(first.ended).toBe(true);
  await using second = await checkout(name);
  await second.session.query("a secret");
  const late = await failure(handle.query("what was said?"), "LOAN_ENDED");
  expect(late.details).toEqual({ pool: name, reason: "checked_in" });
  expect(late.message).toContain(`["${name}",0]`);
  for (const call of [
    () => handle.stream("hi"),
    () => handle.status(),
    () => handle.approvals(),
    () => handle.sessionId,
    () => handle.events(),
    () => handle.enqueue("hi"),
    () => handle.turn(turn.id),
    () => handle.interrupt(),
    () => handle.transcript(),
    () => handle.restart(),
    () => handle.clear(),
    () => handle.fork(unique()),
    () => handle.hibernate(),
    () => handle.wake(),
    () => handle.setModel("other"),
    () => handle.approvalHistory(),
    () => scene.supervisor.session(handle),
    () => scene.supervisor.terminateSession(handle),
    () => scene.supervisor.restartSession(handle),
    () => query(handle, "hi"),
  ]) {
    await thrown(call, "LOAN_ENDED");
  }
  // Idempotent calls resolve, and the borrower's own turn keeps its result.
  await Promise.all(
    [first.checkin(), first[Symbol.asyncDispose](), handle.stop(), turn.interrupt()].map(ignoreLoanEnded),
  );
  expect((await turn.result()).text).toBe("0");
  await events;
  expect(second.ended).toBe(false);
  expect((await second.session.query("hi")).text).toBe("2");
});

test("Loan: hides turns of earlier loans, and rejects idempotency keys", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const first = await checkout(name);
  const id = await first.session.enqueue("a secret");
  expect((await (await first.session.turn(id))?.result())?.text).toBe("0");
  await first.checkin();
  await using second = await checkout(name);
  expect(await second.session.turn(id)).toBeUndefined();
  const { message } = await thrown(() => second.session.stream("hi", { idempotencyKey: "k" }), "INVALID_OPTIONS");
  expect(message).toContain("idempotencyKey");
  await thrown(() => second.session.enqueue("hi", { idempotencyKey: "k" }), "INVALID_OPTIONS");
  // `supervisor.session()` of a loan's handle returns that handle.
  const { supervisor } = scene;
  expect(supervisor.session(second.session)).toBe(second.session);
  expect((await supervisor.query(second.session, "hi")).text).toBe("0");
});

test("loan.checkin(): interrupts the running turn and cancels queued ones", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  const [running, waiting] = [loan.session.stream("hold"), loan.session.stream("hi")];
  await scene.fake.prompted(1);
  await collect(firstOf(running.text()));
  const back = loan.checkin();
  await failure(running.result(), "TURN_INTERRUPTED");
  await failure(waiting.result(), "TURN_CANCELLED");
  await back;
  expect(await use(name, async (one) => (await one.query("hi")).text)).toBe("0");
});

test("pool({ lease }): ends a forgotten loan and lends its member again", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  await using scene = await Scene.open({ clock, script, children: [pool(name, { size: 1, lease: "1m" })] });
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  const loan = await checkout(name);
  expect(loan.endsAt).toBe(60_000);
  const turn = loan.session.stream("hold");
  await scene.fake.prompted(1);
  const next = checkout(name);
  await clock.advance(59_999);
  expect(loan.ended).toBe(false);
  await clock.advance(1);
  expect(loan.ended).toBe(true);
  await failure(turn.result(), "TURN_INTERRUPTED");
  const late = await failure(loan.session.query("hi"), "LOAN_ENDED");
  expect(late.details.reason).toBe("lease_over");
  expect(late.message).toContain("1m");
  const second = await next;
  await loan.checkin();
  expect((await second.session.query("hi")).text).toBe("0");
  await second.checkin();
  await clock.advance(120_000);
  expect(scene.supervisor.pool(name).status()).toMatchObject({ size: 1, idle: 1, lent: 0 });
});

test("Loan: a crash of its member keeps the conversation", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  await using loan = await checkout(name);
  expect((await loan.session.query("hi")).text).toBe("0");
  scene.fake.running[0]?.kill("SIGKILL");
  await eventually(() => loan.session.status().restarts === 1);
  expect((await loan.session.query("hi")).text).toBe("2");
  expect(scene.supervisor.pool(name).status()).toMatchObject({ size: 1, lent: 1 });
});

test("loan.checkin(): clears the conversation although the member crashes", async () => {
  const name = unique("pool");
  const children = [pool(name, { size: 1 })];
  await using scene = await Scene.open({ script, children, options: { maxRestarts: 100 } });
  for (let round = 0; round < 5; round++) {
    const loan = await checkout(name);
    expect((await loan.session.query("hi")).text).toBe("0");
    const back = loan.checkin();
    await ticks(round);
    scene.fake.running[0]?.kill("SIGKILL");
    await back;
  }
});

test("Loan: hibernation keeps the conversation, and a check-in clears it without a process", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  await loan.session.query("hi");
  await loan.session.hibernate();
  expect((await loan.session.query("hi")).text).toBe("2");
  await loan.session.hibernate();
  await loan.checkin();
  const { processes } = scene.fake;
  expect(processes).toHaveLength(2);
  expect((await query(name, "hi")).text).toBe("0");
});

test("loan.checkin(): resets a model that the borrower changed", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1, model: "plain" })] });
  await use(name, async (one) => {
    await one.setModel("dear");
    await one.query("hi");
  });
  await query(name, "hi");
  await using _ = await checkout(name);
  expect(scene.fake.processes.at(-1)?.model).toBe("plain");
});

test("Loan: rejects with SESSION_STOPPED after its member was terminated, which a new member replaces", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  await scene.supervisor.terminateSession([name, 0]);
  await failure(loan.session.query("hi"), "SESSION_STOPPED");
  expect((await query(name, "hi")).text).toBe("0");
  await loan.checkin();
  const status = scene.supervisor.pool(name).status();
  expect(status.size).toBe(1);
  expect(status.members).toHaveLength(1);
});

test("loan.session.stop(): checks the loan in", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  {
    const loan = await checkout(name);
    await using one = loan.session;
    await one.query("hi");
  }
  expect(await use(name, async (one) => (await one.query("hi")).text)).toBe("0");
  expect(
    scene.supervisor
      .pool(name)
      .status()
      .members.map((member) => member.name),
  ).toEqual([[name, 0]]);
});

test("loan.session.fork(): creates a session outside the pool", async () => {
  const [name, copy] = [unique("pool"), unique()];
  await using _ = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  await loan.session.query("hi");
  const forked = await loan.session.fork(copy);
  await loan.checkin();
  expect((await forked.query("hi")).text).toBe("2");
  expect((await query(name, "hi")).text).toBe("0");
});

test("Pool: clears turns that bypass it by a member's name before the next loan", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const past = stream([name, 0], "a secret");
  const lent = checkout(name);
  expect((await past.result()).text).toBe("0");
  const loan = await lent;
  expect((await loan.session.query("hi")).text).toBe("0");
  await loan.checkin();
  await session([name, 0]).query("another");
  expect((await query(name, "hi")).text).toBe("0");
  expect(scene.supervisor.pool(name).status().size).toBe(1);
});

async function ignoreLoanEnded(promise: Promise<unknown>): Promise<void> {
  await promise.catch((error: { code?: string }) => expect(error.code).toBe("LOAN_ENDED"));
}

async function* firstOf<Value>(values: AsyncIterable<Value>): AsyncGenerator<Value> {
  for await (const value of values) {
    yield value;
    return;
  }
}
