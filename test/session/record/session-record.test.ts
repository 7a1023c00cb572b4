import { expect, test } from "vitest";
import type { EventDraft } from "../../../src/session/record/session-event-types.ts";
import { SessionRecord } from "../../../src/session/record/session-record.ts";

const HIBERNATED: EventDraft = { type: "hibernated" };

function recordOf(): SessionRecord {
  const record = new SessionRecord("s", () => 0);
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
