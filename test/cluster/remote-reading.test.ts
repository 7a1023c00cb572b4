import { expect, test } from "vitest";
import { RemoteReading } from "../../src/cluster/remote-reading.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";

const text = (number: number): SessionEvent => ({
  v: 1,
  number,
  at: 0,
  type: "text",
  text: "a",
  block: "b",
  turnId: "t",
});
const delta: SessionEvent = { at: 0, after: 3, type: "text_delta", text: "a", block: "b" };
const ended: SessionEvent = { v: 1, number: 9, at: 0, type: "turn_ended", turnId: "t", state: "completed" };

test("RemoteReading: asks the next node for what follows the last recorded event", () => {
  const reading = new RemoteReading({ types: ["text", "text_delta"] });
  expect(reading.next).toEqual({ types: ["text", "text_delta"] });
  expect(reading.take(text(3))).toBe(true);
  expect(reading.take(delta)).toBe(true);
  expect(reading.next).toEqual({ types: ["text", "text_delta"], after: 3 });
  expect(reading.isOver).toBe(false);
});

test("RemoteReading: is over with the end of its turn, which it asks for and keeps to itself", () => {
  const reading = new RemoteReading({ types: ["text"], turn: "t", after: 2 });
  expect(reading.next).toEqual({ types: ["text", "turn_ended"], turn: "t", after: 2 });
  expect(reading.take(text(3))).toBe(true);
  expect(reading.isOver).toBe(false);
  expect(reading.take(ended)).toBe(false);
  expect(reading.isOver).toBe(true);
});

test("RemoteReading: is over with a complete answer if it does not wait for more", () => {
  expect(new RemoteReading({ live: false }).isOver).toBe(true);
});
