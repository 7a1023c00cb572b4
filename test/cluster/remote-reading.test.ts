import { expect, test } from "vitest";
import { RemoteReading } from "../../src/cluster/remote-reading.ts";
import { CastellanError } from "../../src/errors.ts";
import type { EventOptions } from "../../src/session/record/event-readers.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { thrown } from "../session-on-fake/scene.ts";

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

const readingOf = (options: EventOptions, clock = new SimulatedClock()): RemoteReading =>
  new RemoteReading(options, clock, 1_000);
const KEY = '["global","support",42]';

test("RemoteReading: asks the next node for what follows the last recorded event", () => {
  const reading = readingOf({ types: ["text", "text_delta"] });
  expect(reading.next).toEqual({ types: ["text", "text_delta"] });
  expect(reading.take(text(3))).toBe(true);
  expect(reading.take(delta)).toBe(true);
  expect(reading.next).toEqual({ types: ["text", "text_delta"], after: 3 });
  expect(reading.isOver).toBe(false);
});

test("RemoteReading: asks the next node for what follows where the first one began", () => {
  const reading = readingOf({ types: ["text"] });
  reading.begins(7);
  expect(reading.next).toEqual({ types: ["text"], after: 7 });
  reading.take(text(8));
  expect(reading.next.after).toBe(8);
});

test("RemoteReading: is over with the end of its turn, which it asks for and keeps to itself", () => {
  const reading = readingOf({ types: ["text"], turn: "t", after: 2 });
  expect(reading.next).toEqual({ types: ["text", "turn_ended"], turn: "t", after: 2 });
  expect(reading.take(text(3))).toBe(true);
  expect(reading.isOver).toBe(false);
  expect(reading.take(ended)).toBe(false);
  expect(reading.isOver).toBe(true);
});

test("RemoteReading: is over with a complete answer if it does not wait for more", () => {
  expect(readingOf({ live: false }).isOver).toBe(true);
});

test("RemoteReading: gives up after its patience only if it does not wait for events", async () => {
  const clock = new SimulatedClock();
  const [live, stored] = [readingOf({}, clock), readingOf({ live: false }, clock)];
  await clock.advance(900);
  live.failed(KEY, undefined);
  stored.failed(KEY, undefined);
  // An event is a sign of progress.
  stored.take(text(3));
  await clock.advance(900);
  stored.failed(KEY, undefined);
  await clock.advance(100);
  live.failed(KEY, undefined);
  const error = await thrown(() => stored.failed(KEY, undefined), "CLUSTER_UNAVAILABLE");
  expect(error.message).toContain("for 1s");
});

test("RemoteReading: fails at once for damage, which every node would find", async () => {
  const error = (reason: "damaged" | "unreachable"): CastellanError =>
    new CastellanError("JOURNAL_UNAVAILABLE", "it cannot be read", { details: { reason } });
  const reading = readingOf({});
  reading.failed(KEY, error("unreachable"));
  await thrown(() => reading.failed(KEY, error("damaged")), "JOURNAL_UNAVAILABLE");
});
