import { expect, test } from "vitest";
import { pool } from "../../src/index.ts";
import { serverOf } from "../../src/session/session.ts";
import { collect, eventually, Scene, ticks, unique } from "./scene.ts";

test("session.events(): return() ends a reader that waits for an event", async () => {
  await using scene = await Scene.open();
  const events = scene.session.events({ types: ["fault"] });
  const next = events.next();
  await ticks(5);
  expect(await events.return()).toEqual({ done: true, value: undefined });
  expect(await next).toEqual({ done: true, value: undefined });
});

test("turn.events(): return() ends a reader that waits for the turn's end", async () => {
  const go = Promise.withResolvers<void>();
  await using scene = await Scene.open({ script: async (turn) => void (await go.promise.then(() => turn.text("ok"))) });
  const turn = scene.session.stream("hi");
  const events = turn.events();
  const read = (async () => {
    for (;;) if ((await events.next()).done === true) return;
  })();
  await eventually(() => turn.state === "running");
  await ticks(5);
  await events.return();
  await read;
  go.resolve();
  await turn.result();
});

test("turn.events(): return() ends a reader of a pool's turn that waits for a member", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const loan = await scene.supervisor.pool(name).checkout();
  const turn = scene.supervisor.pool(name).stream("hi");
  const events = turn.events();
  const next = events.next();
  await ticks(5);
  await events.return();
  expect(await next).toEqual({ done: true, value: undefined });
  await loan.checkin();
  await turn.result();
});

test("Loan: its end ends its readers, so that the member can be evicted", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ children: [pool(name, { size: 1 })] });
  const loan = await scene.supervisor.pool(name).checkout();
  const server = serverOf(loan.session);
  const reading = collect(loan.session.events({ types: ["fault"] }));
  await ticks(5);
  expect(server?.reading.readers).toBe(1);
  await loan.checkin();
  expect(await reading).toEqual([]);
  expect(server?.reading.readers).toBe(0);
});
