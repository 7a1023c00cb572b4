import { expect, test } from "vitest";
import type { EventDraft } from "../../../src/session/record/session-event-types.ts";
import { SessionRecord } from "../../../src/session/record/session-record.ts";

const HIBERNATED: EventDraft = { type: "hibernated" };

function recordOf(): SessionRecord {
  const record = new SessionRecord("s", { now: () => 0 });
  record.open(0);
  return record;
}

/** Whether the record still has its first event in memory. */
const hasFirst = (record: SessionRecord): boolean => record.tail.positionAfter(0) !== undefined;

test("SessionRecord: keeps written events while a reader is there, and frees them once the last has left", () => {
  const record = recordOf();
  record.joined();
  record.joined();
  record.written(record.append([HIBERNATED]));
  record.left();
  expect(hasFirst(record)).toBe(true);
  record.left();
  expect(hasFirst(record)).toBe(false);
});

test("SessionRecord: without a reader it keeps only the events that the journal does not have yet", () => {
  const record = recordOf();
  const [first, second] = [record.append([HIBERNATED]), record.append([HIBERNATED])];
  expect(hasFirst(record)).toBe(true);
  record.written(first);
  expect(hasFirst(record)).toBe(false);
  expect(record.tail.positionAfter(1)).toBeDefined();
  record.written(second);
  expect(record.tail.positionAfter(1)).toBeUndefined();
});

test("SessionRecord: events may wait while nobody reads and less than 256 of them, or 1 MB, are pending", () => {
  const record = recordOf();
  expect(record.mayWait).toBe(true);
  record.joined();
  expect(record.mayWait).toBe(false);
  record.left();
  const many = Array.from({ length: 256 }, () => HIBERNATED);
  const [most, last] = [record.append(many.slice(1)), () => record.append([HIBERNATED])];
  expect(record.mayWait).toBe(true);
  const pending = [...most, ...last()];
  expect(record.mayWait).toBe(false);
  record.written(pending);
  expect(record.mayWait).toBe(true);
  const texts = Array.from(
    { length: 40 },
    (): EventDraft => ({ type: "steered", turnId: "t", id: "s", text: "x".repeat(30_000) }),
  );
  const large = record.append(texts);
  expect(record.mayWait).toBe(false);
  record.written(large);
  expect(record.mayWait).toBe(true);
});
