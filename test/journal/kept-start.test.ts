import { expect, test } from "vitest";
import { KeptStart } from "../../src/journal/model/kept-start.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

function setUp(): { clock: SimulatedClock; kept: KeptStart<string>; ended: string[] } {
  const [clock, ended]: [SimulatedClock, string[]] = [new SimulatedClock(), []];
  return { clock, kept: new KeptStart(clock, async (started) => void ended.push(started)), ended };
}

test("KeptStart: returns what is kept once, and does not end it afterwards", async () => {
  const { clock, kept, ended } = setUp();
  kept.keep("one");
  await clock.advance(29_000);
  expect([kept.take(), kept.take()]).toEqual(["one", undefined]);
  await clock.advance(60_000);
  await kept.drop();
  expect([ended, clock.timers]).toEqual([[], 0]);
});

test("KeptStart: ends after thirty seconds what nobody has taken", async () => {
  const { clock, kept, ended } = setUp();
  kept.keep("one");
  await clock.advance(30_000);
  expect([kept.take(), ended, clock.timers]).toEqual([undefined, ["one"], 0]);
});

test("KeptStart: ends what is kept when it is dropped", async () => {
  const { clock, kept, ended } = setUp();
  kept.keep("one");
  await kept.drop();
  await kept.drop();
  expect([ended, clock.timers]).toEqual([["one"], 0]);
});

test("KeptStart: keeps the later of two attempts, and ends the other at once", async () => {
  const { clock, kept, ended } = setUp();
  kept.keep("one");
  kept.keep("two");
  expect([ended, kept.take()]).toEqual([["one"], "two"]);
  await clock.advance(60_000);
  expect([ended, clock.timers]).toEqual([["one"], 0]);
});
