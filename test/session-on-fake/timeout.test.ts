import { expect, test } from "vitest";
import { query, stream } from "../../src/castellan.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, failure, Scene, within } from "./scene.ts";

test("timeout: ends the turn at its deadline, interrupts the process, and the session continues", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt !== "slow") return turn.text("quick");
      await turn.partial("I am thi");
      await turn.toolUse("Read", {}, { hang: true });
    },
  });
  const turn = stream(scene.name, "slow", { timeout: "2s" });
  for await (const _ of turn.toolUses()) break;
  await clock.advance(1_999);
  expect(turn.state).toBe("running");
  await clock.advance(1);
  expect(turn.state).toBe("timed_out");
  const error = await failure(turn.result(), "TURN_TIMEOUT");
  expect(error.details).toMatchObject({ timeoutMs: 2000, partialText: "I am thi", toolUses: [{ name: "Read" }] });
  expect((await within(clock, query(scene.name, "next"))).text).toBe("quick");
  expect(scene.fake.processes).toHaveLength(1);
});

test("timeout: rejects readers of the turn with TURN_TIMEOUT", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock, script: (turn) => turn.hang() });
  const turn = stream(scene.name, "slow", { timeout: 100 });
  const reader = failure(Array.fromAsync(turn), "TURN_TIMEOUT");
  await scene.fake.prompted(1);
  await clock.advance(100);
  await reader;
});

test("timeout: a queued turn that times out never reaches the process", async () => {
  const clock = new SimulatedClock();
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    clock,
    script: async (turn) => {
      if (turn.prompt === "one") await open.promise;
      await turn.text(`re: ${turn.prompt}`);
    },
  });
  const one = query(scene.name, "one");
  const two = stream(scene.name, "two", { timeout: 500 });
  const three = query(scene.name, "three");
  await scene.fake.prompted(1);
  await clock.advance(500);
  expect((await failure(two.result(), "TURN_TIMEOUT")).message).toContain("did not run");
  open.resolve();
  expect([(await one).text, (await three).text]).toEqual(["re: one", "re: three"]);
  expect(scene.fake.processes[0]?.prompts).toEqual(["one", "three"]);
  expect(two.state).toBe("timed_out");
});

test("queueTimeout: counts only while a turn is queued", async () => {
  const clock = new SimulatedClock();
  const open = Promise.withResolvers<void>();
  await using scene = await Scene.open({
    clock,
    session: { queueTimeout: "1s" },
    script: async (turn) => {
      await open.promise;
      await turn.text("done");
    },
  });
  const one = query(scene.name, "one");
  const two = failure(query(scene.name, "two"), "QUEUE_TIMEOUT");
  await scene.fake.prompted(1);
  await clock.advance(1_000);
  const error = await two;
  expect(error.details.timeoutMs).toBe(1_000);
  await clock.advance(5_000);
  open.resolve();
  expect((await one).text).toBe("done");
  expect(scene.fake.processes[0]?.prompts).toEqual(["one"]);
});

test("timeout: kills a process that ignores the interrupt for five seconds, and the next turn runs on a new one", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    fake: { ignoreInterrupt: true },
    script: async (turn) => {
      if (turn.prompt === "stuck") await turn.hang();
      await turn.text(turn.history.map(({ text }) => text).join());
    },
  });
  await query(scene.name, "first");
  const stuck = failure(query(scene.name, "stuck", { timeout: 100 }), "TURN_TIMEOUT");
  const next = query(scene.name, "next");
  await scene.fake.prompted(2);
  await clock.advance(100);
  await stuck;
  await clock.advance(4_900);
  expect(scene.fake.processes[0]?.state).toBe("running");
  await clock.advance(200);
  await scene.fake.started(2);
  expect(scene.fake.processes[0]?.signals).toEqual(["SIGKILL"]);
  expect((await next).text).toContain("first");
  expect(scene.session.status()).toMatchObject({ restarts: 1, lastExit: { class: "stalled" } });
  expect(scene.transcript()).not.toContain("user: stuck");
});

test("timeout: kills a frozen process, and the next turn runs on a new one", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    script: (turn) => (turn.index === 0 ? turn.hang() : turn.text("back")),
  });
  const turn = failure(query(scene.name, "one", { timeout: 50 }), "TURN_TIMEOUT");
  await scene.fake.prompted(1);
  scene.fake.processes[0]?.freeze();
  await clock.advance(50);
  await turn;
  expect((await within(clock, query(scene.name, "two"))).text).toBe("back");
  expect(scene.fake.processes[0]?.signals).toContain("SIGKILL");
});

test("timeout: a turn that ends in time leaves no timer behind", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({ clock });
  await query(scene.name, "warm up");
  const before = clock.timers;
  for (let n = 0; n < 10; n++) await query(scene.name, "hi", { timeout: "1h" });
  expect(clock.timers).toBe(before);
});

test("timeout: a turn's own value overrides the session's", async () => {
  const clock = new SimulatedClock();
  await using scene = await Scene.open({
    clock,
    session: { timeout: "10s" },
    script: (turn) => (turn.prompt.endsWith("!") ? turn.hang() : turn.text("in time")),
  });
  const own = failure(query(scene.name, "own!", { timeout: 0 }), "TURN_TIMEOUT");
  await clock.advance(0);
  expect((await own).details.timeoutMs).toBe(0);
  const inherited = failure(query(scene.name, "the session's!"), "TURN_TIMEOUT");
  expect((await within(clock, inherited)).details.timeoutMs).toBe(10_000);
  expect((await within(clock, query(scene.name, "some"))).text).toBe("in time");
  await eventually(() => scene.session.status().state === "idle");
});
