import { expect, test } from "vitest";
import { TurnGate } from "../../src/session/streams/turn-gate.ts";

test("an open gate lets the turn begin, and cannot be closed any more", async () => {
  const gate = new TurnGate();
  const passed = gate.reach();
  await gate.reached;
  expect([gate.isOpen, gate.open(), gate.isOpen]).toEqual([false, true, true]);
  gate.close();
  expect([await passed, await gate.passed, gate.open()]).toEqual([true, true, true]);
});

test("a closed gate stays closed, whether the turn has reached it or not", async () => {
  const gate = new TurnGate();
  gate.close();
  expect([gate.open(), gate.isOpen, await gate.reach()]).toEqual([false, false, false]);
});
