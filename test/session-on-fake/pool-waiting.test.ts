import { expect, test } from "vitest";
import { checkout, query, stream } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { collect, eventually, failure, Scene, thrown, unique } from "./scene.ts";

const count: FakeScript = (turn) => turn.text(`${turn.history.length}`);

test("Pool: serves waiting turns and checkouts in order", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  const order: string[] = [];
  const waits = ["a", "b", "c", "d"].map(async (who, at) => {
    if (at % 2 === 0) {
      await using own = await checkout(name);
      order.push(who);
      await own.session.query("hi");
    } else {
      await query(name, "hi");
      order.push(who);
    }
  });
  await eventually(() => scene.supervisor.pool(name).status().waiting === 4);
  await loan.checkin();
  await Promise.all(waits);
  expect(order).toEqual(["a", "b", "c", "d"]);
  expect(scene.supervisor.pool(name).status().waiting).toBe(0);
});

test("pool.checkout(): lends each member once at a time to a hundred callers", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 3 })] });
  const lent = new Set<string>();
  let most = 0;
  const borrow = async (): Promise<void> => {
    await using loan = await checkout(name);
    const key = JSON.stringify(loan.session.name);
    expect(lent.has(key)).toBe(false);
    lent.add(key);
    most = Math.max(most, lent.size);
    await Promise.resolve();
    lent.delete(key);
  };
  await Promise.all(Array.from({ length: 100 }, borrow));
  expect(most).toBe(3);
  await eventually(() => scene.supervisor.pool(name).status().idle === 3);
});

test("pool.checkout(): rejects with POOL_EXHAUSTED and the pool's state at its timeout", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  await using scene = await Scene.open({ clock, script: count, children: [pool(name, { size: 1 })] });
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  const loan = await checkout(name);
  const late = failure(checkout(name, { timeout: "5s" }), "POOL_EXHAUSTED");
  const usual = failure(checkout(name), "POOL_EXHAUSTED");
  const turn = stream(name, "hi", { timeout: "20s" });
  await clock.advance(5_000);
  const error = await late;
  expect(error.details).toEqual({ pool: name, size: 1, lent: 1, waiting: 3, timeoutMs: 5_000 });
  expect(error.message).toContain("within 5s");
  await clock.advance(15_000);
  expect((await failure(turn.result(), "POOL_EXHAUSTED")).details.timeoutMs).toBe(20_000);
  expect(turn.state).toBe("cancelled");
  await failure(collect(turn.text()), "POOL_EXHAUSTED");
  await clock.advance(10 * 60_000);
  expect((await usual).details.timeoutMs).toBe(600_000);
  expect(scene.supervisor.pool(name).status().waiting).toBe(0);
  await loan.checkin();
  const next = await checkout(name, { timeout: 0 }).catch(() => checkout(name));
  await next.checkin();
});

test("Pool: the wait for a member counts towards the turn's timeout", async () => {
  const [name, clock] = [unique("pool"), new SimulatedClock()];
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      await turn.hang();
    },
    children: [pool(name, { size: 1 })],
  });
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  const loan = await checkout(name);
  const turn = stream(name, "hi", { timeout: "20s" });
  await clock.advance(15_000);
  await loan.checkin();
  await scene.fake.prompted(1);
  expect(turn.state).toBe("running");
  await clock.advance(4_999);
  expect(turn.state).toBe("running");
  await clock.advance(1);
  await failure(turn.result(), "TURN_TIMEOUT");
});

test('Pool: rejects `timeout: 0` and `whenBusy: "reject"` at once when no member is free', async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 1 })] });
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  const loan = await checkout(name, { timeout: 0 });
  const { details } = await failure(checkout(name, { timeout: 0 }), "POOL_EXHAUSTED");
  expect(details).toEqual({ pool: name, size: 1, lent: 1, waiting: 0, timeoutMs: 0 });
  await thrown(() => stream(name, "hi", { whenBusy: "reject" }), "POOL_EXHAUSTED");
  await loan.checkin();
  await eventually(() => scene.supervisor.pool(name).status().idle === 1);
  expect((await query(name, "hi", { whenBusy: "reject" })).text).toBe("0");
});

test("pool({ waitingLimit }): rejects one caller more with POOL_EXHAUSTED", async () => {
  const name = unique("pool");
  await using _ = await Scene.open({ script: count, children: [pool(name, { size: 1, waitingLimit: 2 })] });
  const loan = await checkout(name);
  const waits = [query(name, "hi"), query(name, "hi")];
  const full = await failure(checkout(name), "POOL_EXHAUSTED");
  expect(full.details).toMatchObject({ waiting: 2, timeoutMs: 0 });
  expect(full.message).toContain("waitingLimit");
  await thrown(() => stream(name, "hi"), "POOL_EXHAUSTED");
  await loan.checkin();
  expect((await Promise.all(waits)).map(({ text }) => text)).toEqual(["0", "0"]);
});

test("pool.checkout(): its signal ends the wait, but not a loan", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script: count, children: [pool(name, { size: 1 })] });
  const scope = new AbortController();
  const loan = await checkout(name, { signal: scope.signal });
  const reason = new Error("enough");
  const [lent, turn] = [checkout(name, { signal: scope.signal }), stream(name, "hi", { signal: scope.signal })];
  const [noLoan, noTurn] = [failure(lent, "CHECKOUT_CANCELLED"), failure(turn.result(), "TURN_CANCELLED")];
  scope.abort(reason);
  expect(await noLoan).toMatchObject({ details: { pool: name }, cause: reason });
  expect(await noTurn).toMatchObject({ details: { turnId: turn.id }, cause: reason });
  await failure(checkout(name, { signal: scope.signal }), "CHECKOUT_CANCELLED");
  await thrown(() => stream(name, "hi", { signal: scope.signal }), "TURN_CANCELLED");
  expect(loan.ended).toBe(false);
  expect((await loan.session.query("hi")).text).toBe("0");
  expect(scene.supervisor.pool(name).status()).toMatchObject({ lent: 1, waiting: 0 });
  await loan.checkin();
});

test("Pool: interrupt() cancels a waiting turn and interrupts a running one", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({
    script: async (turn) => {
      await turn.partial("I");
      await turn.hang();
    },
    children: [pool(name, { size: 1 })],
  });
  const running = stream(name, "first");
  await scene.fake.prompted(1);
  const waiting = stream(name, "second");
  expect(waiting).toMatchObject({ state: "accepted", recalled: false, touched: false });
  await waiting.interrupt();
  await failure(waiting.result(), "TURN_CANCELLED");
  await waiting.interrupt();
  await running.interrupt();
  await failure(running.result(), "TURN_INTERRUPTED");
});

test("Pool: stop() and drain() reject waiting callers with SUPERVISOR_STOPPED and lend nothing more", async () => {
  for (const how of ["stop", "drain"] as const) {
    const name = unique("pool");
    const gate = Promise.withResolvers<void>();
    await using scene = await Scene.open({
      script: async (turn) => {
        await gate.promise;
        await count(turn);
      },
      children: [pool(name, { size: 1 })],
    });
    const pool_ = scene.supervisor.pool(name);
    const loan = await checkout(name);
    const turn = loan.session.stream("hi");
    await scene.fake.prompted(1);
    const waits = [failure(checkout(name), "SUPERVISOR_STOPPED"), failure(query(name, "hi"), "SUPERVISOR_STOPPED")];
    const ended = how === "stop" ? scene.supervisor.stop() : scene.supervisor.drain();
    await Promise.all(waits);
    await failure(pool_.checkout(), "SUPERVISOR_STOPPED");
    await thrown(() => pool_.stream("hi"), "SUPERVISOR_STOPPED");
    gate.resolve();
    // `drain()` completes accepted turns.
    if (how === "drain") expect((await turn.result()).text).toBe("0");
    await ended;
    await loan.checkin();
    await failure(checkout(name), "POOL_NOT_FOUND");
    await thrown(() => scene.supervisor.pool(name), "SUPERVISOR_STOPPED");
  }
});
