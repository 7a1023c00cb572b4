import { expect, test } from "vitest";
import { checkout, query, session, use } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { expectNothingLeft, run } from "./application.ts";
import { eventually, failure, Scene, unique, within } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

/** Crashes on prompts that begin with "die". */
const mortal: FakeScript = async (turn) => {
  if (turn.prompt.startsWith("die")) await turn.crash({ signal: "SIGKILL" });
  await count(turn);
};

test("Pool: replaces a quarantined member, and removes a surplus one after restartSession()", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    script: mortal,
    children: [pool(name, { size: 2, onInterruptedTurn: "retry" })],
    options: { maxRestarts: 1 },
  });
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  await failure(query(name, "die"), "SESSION_QUARANTINED");
  await eventually(() => pool_.status().idle === 2);
  expect(pool_.status().members).toEqual([
    { name: [name, 0], state: "quarantined", use: "free" },
    { name: [name, 1], state: "hibernated", use: "free" },
    { name: [name, 2], state: "hibernated", use: "free" },
  ]);
  const names = await Promise.all([1, 2].map(() => use(name, (one) => one.name)));
  expect(names).toEqual([
    [name, 1],
    [name, 2],
  ]);
  await scene.supervisor.restartSession([name, 0]);
  await eventually(() => pool_.status().members.length === 2);
  expect(pool_.status().members.map((member) => member.name)).toEqual([
    [name, 0],
    [name, 1],
  ]);
  expect((await query(name, "hi")).text).toBe("0");
});

test("Pool: restarts its members with growing delays when all are quarantined, and waiting callers get them", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  let mends = false;
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt.startsWith("die") && !mends) await turn.crash({ signal: "SIGKILL" });
      await count(turn);
    },
    children: [pool(name, { size: 2, onInterruptedTurn: "retry" })],
    options: { maxRestarts: 0 },
  });
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  // Replacements for the first two start at once.
  for (let at = 0; at < 3; at++) await failure(query(name, `die ${at}`), "SESSION_QUARANTINED");
  await eventually(() => pool_.status().size === 0);
  expect(pool_.status()).toMatchObject({ shortfall: expect.stringContaining("0 of 2"), retryAt: clock.now() + 1_000 });
  expect(await scene.supervisor.health()).toMatchObject({
    status: "unhealthy",
    details: expect.arrayContaining([{ name, status: "unhealthy", reason: pool_.status().shortfall }]),
  });

  // Callers with a shorter timeout get the cause.
  const error = await failure(checkout(name, { timeout: 0 }), "POOL_EXHAUSTED");
  expect(error.cause).toMatchObject({ code: "SESSION_QUARANTINED" });
  const late = failure(query(name, "hi", { queueTimeout: 500 }), "POOL_EXHAUSTED");
  const patient = query(name, "hi");
  await clock.advance(500);
  expect((await late).cause).toMatchObject({ code: "SESSION_QUARANTINED" });
  await clock.advance(500);
  expect((await patient).text).toBe("0");

  // The pool returns to its minimum without a waiting caller.
  await clock.advance(2_000);
  await eventually(() => pool_.status().size === 2);
  expect(pool_.status().shortfall).toBeUndefined();
  expect(pool_.status().members.length).toBe(3);

  // Delays grow, and the number of members does not.
  for (let at = 0; at < 2; at++) await failure(query(name, `die ${at}`), "SESSION_QUARANTINED");
  await eventually(() => pool_.status().size === 0);
  expect(pool_.status().retryAt).toBe(clock.now() + 4_000);
  mends = true;
  const after = query(name, "die no more");
  await clock.advance(4_000);
  expect((await after).text).toBe("0");
  expect(pool_.status().members.length).toBe(3);
});

test("Pool: replaces a member that was terminated or stopped", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 2 })] });
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  await scene.supervisor.terminateSession([name, 0]);
  await eventually(() => pool_.status().idle === 2);
  await session([name, 1]).stop();
  await eventually(() => pool_.status().idle === 2);
  expect(pool_.status().members).toHaveLength(2);
  const [first] = pool_.status().members;
  await scene.supervisor.terminateChild(first?.name ?? "");
  await eventually(() => pool_.status().idle === 2);
  expect(pool_.status().members).toHaveLength(3);
  await Promise.all(Array.from({ length: 4 }, () => query(name, "hi")));
  expect(session(first?.name ?? "").status().starts).toBe(0);
});

test("pool({ min, max }): grows for waiting callers up to `max`, and shrinks after `shrinkAfter`", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  await using scene = await Scene.open({
    clock,
    script: count,
    children: [pool(name, { min: 1, max: 3, shrinkAfter: "1m" })],
  });
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 1);
  const loans = await Promise.all([1, 2, 3].map(() => checkout(name)));
  expect(pool_.status()).toMatchObject({ size: 3, lent: 3, min: 1, max: 3 });
  const fourth = checkout(name);
  await eventually(() => pool_.status().waiting === 1);
  expect(pool_.status().size).toBe(3);
  await loans[0]?.checkin();
  const last = await fourth;
  await loans[1]?.checkin();
  await eventually(() => pool_.status().idle === 1);
  await clock.advance(30_000);
  await loans[2]?.checkin();
  await eventually(() => pool_.status().idle === 2);
  await clock.advance(30_000);
  await eventually(() => pool_.status().members.length === 2);
  await clock.advance(30_000);
  await eventually(() => pool_.status().members.length === 1);
  expect(pool_.status()).toMatchObject({ size: 1, lent: 1 });
  await last.checkin();
  await clock.advance(600_000);
  expect(pool_.status()).toMatchObject({ size: 1, idle: 1 });
});

test("pool({ min: 0 }): is empty until the first query", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { min: 0, max: 2 })] });
  expect(scene.supervisor.pool(name).status()).toMatchObject({ size: 0, members: [] });
  const replies = await Promise.all([1, 2, 3].map(() => query(name, "hi")));
  expect(replies.map(({ text }) => text)).toEqual(["0", "0", "0"]);
  expect(scene.supervisor.pool(name).status().size).toBe(2);
});

test("supervisor.reconcile(): adds, resizes and removes a pool without touching its loans", async () => {
  const name = unique("pool");
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    children: [],
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      await count(turn);
    },
  });
  const { supervisor } = scene;
  const sized = (size: number, options = {}) => [pool(name, { size, ...options })];
  expect(await supervisor.reconcile(sized(2))).toMatchObject({ added: [name], failed: [] });
  const pool_ = supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  expect(await supervisor.reconcile(sized(2))).toEqual({ added: [], removed: [], changed: [], failed: [] });
  const loans = [await checkout(name), await checkout(name)];
  const turns = loans.map((loan) => loan.session.stream("long"));
  await scene.fake.prompted(2);
  expect(await supervisor.reconcile(sized(3))).toMatchObject({ changed: [name], failed: [] });
  await eventually(() => pool_.status().size === 3);
  expect(await supervisor.reconcile(sized(1))).toMatchObject({ changed: [name], failed: [] });
  await eventually(() => pool_.status().size === 2);
  expect(pool_.status()).toMatchObject({ lent: 2, max: 1 });
  gate.resolve();
  expect((await Promise.all(turns.map((turn) => turn.result()))).map(({ text }) => text)).toEqual(["0", "0"]);
  for (const loan of loans) await loan.checkin();
  await eventually(() => pool_.status().members.length === 1);
  // Changed options reach the members, which keep their conversation.
  const loan = await checkout(name);
  await loan.session.query("hi");
  const { changed, failed } = await supervisor.reconcile(sized(1, { systemPrompt: "Be brief." }));
  expect({ changed, failed }).toEqual({ changed: [loan.session.name], failed: [] });
  expect((await loan.session.query("hi")).text).toBe("2");
  const waiting = failure(checkout(name), "SESSION_STOPPED");
  const { removed } = await supervisor.reconcile([]);
  expect(removed).toContain(name);
  await waiting;
  await failure(loan.session.query("hi"), "SESSION_STOPPED");
  await loan.checkin();
  expect(supervisor.listSessions()).toEqual([]);
  await failure(checkout(name), "POOL_NOT_FOUND");
  expect(await supervisor.reconcile(sized(1))).toMatchObject({ added: [name] });
  expect((await query(name, "hi")).text).toBe("0");
});

test("Pool: keeps its loans over a restart of the supervisor above it", async () => {
  const [name, below] = [unique("pool"), unique("below")];
  const crash: PromiseWithResolvers<void>[] = [];
  const worker = {
    id: "worker",
    start: () => {
      const gate = Promise.withResolvers<void>();
      crash.push(gate);
      const exited = gate.promise.then(() => ({ reason: "abnormal", cause: new Error("gone") }) as const);
      return { exited, stop: async () => gate.resolve() };
    },
  };
  await using scene = await Scene.open({
    script: count,
    children: [
      {
        name: below,
        children: [worker, pool(name, { size: 2 })],
        strategy: "one_for_all",
        maxRestarts: 0,
        onMaxRestarts: "escalate",
      },
    ],
  });
  const pool_ = scene.supervisor.pool(name);
  await eventually(() => pool_.status().idle === 2);
  const loan = await checkout(name);
  await loan.session.query("hi");
  crash[0]?.resolve();
  await eventually(() => crash.length === 2);
  expect((await loan.session.query("hi")).text).toBe("2");
  await loan.checkin();
  const replies = await Promise.all([1, 2, 3, 4].map(() => query(name, "hi")));
  expect(replies.map(({ text }) => text)).toEqual(["0", "0", "0", "0"]);
  expect(pool_.status().members).toHaveLength(2);
});

test("Pool: a loan waits for a process when there are fewer processes than members", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  const gate = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt === "long") await gate.promise;
      await count(turn);
    },
    children: [pool(name, { size: 3, queueTimeout: "1m" })],
    options: { capacity: { maxProcesses: 1 } },
  });
  await eventually(() => scene.supervisor.pool(name).status().idle === 3);
  const [first, second] = [await checkout(name), await checkout(name)];
  const long = first.session.query("long");
  await scene.fake.prompted(1);
  const late = failure(second.session.query("hi"), "CAPACITY_EXHAUSTED");
  await eventually(() => second.session.status().waitingFor?.for === "capacity");
  await clock.advance(60_000);
  await late;
  gate.resolve();
  expect((await long).text).toBe("0");
  expect((await second.session.query("hi")).text).toBe("0");
  for (const loan of [first, second]) await within(clock, loan.checkin());
  const replies = await within(clock, Promise.all([1, 2, 3, 4].map(() => query(name, "hi"))));
  expect(replies.map(({ text }) => text)).toEqual(["0", "0", "0", "0"]);
});

test("Pool: a restart of the application forgets the loan's conversation, unless it is shared", async () => {
  for (const conversation of ["fresh", "shared"] as const) {
    const [name, journal, fake] = [unique("pool"), memoryJournal(), fakeClaude(count)];
    const children = [pool(name, { size: 1, conversation })];
    const first = await run({ fake, journal }, children);
    const loan = await first.pool(name).checkout();
    await loan.session.query("a secret");
    await first.stop();
    const second = await run({ fake, journal }, children);
    expect((await query(name, "hi")).text).toBe(conversation === "fresh" ? "0" : "2");
    await second.stop();
    expectNothingLeft(fake);
  }
});

test("Pool: a borrower's accepted turn runs in its conversation after a restart, which is then forgotten", async () => {
  const [name, journal] = [unique("pool"), memoryJournal()];
  const asked: string[] = [];
  const fake = fakeClaude(async (turn) => {
    asked.push(`${turn.prompt} ${turn.history.length}`);
    if (turn.prompt === "hold") await turn.hang();
    await turn.text("done");
  });
  const first = await run({ fake, journal }, [pool(name, { min: 1, max: 2 })]);
  const loans = [await first.pool(name).checkout(), await first.pool(name).checkout()];
  for (const { session: one } of loans) await one.query("hi");
  const held = loans[1]?.session.stream("hold").result();
  held?.catch(() => {});
  await eventually(() => asked.includes("hold 2"));
  const id = (await loans[1]?.session.enqueue("later")) ?? "";
  await first.stop();
  asked.length = 0;
  const second = await run({ fake, journal }, [pool(name, { min: 1, max: 2 })]);
  await eventually(() => asked.length === 1);
  expect(asked).toEqual(["later 2"]);
  expect(await (await session([name, 1]).turn(id))?.result()).toMatchObject({ text: "done" });
  asked.length = 0;
  await Promise.all([1, 2, 3].map(() => query(name, "hi")));
  expect(asked).toEqual(["hi 0", "hi 0", "hi 0"]);
  await second.stop();
  expectNothingLeft(fake);
});
