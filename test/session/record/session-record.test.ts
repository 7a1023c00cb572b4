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

test("SessionRecord: frees the events of a session that rests once the last reader has left", () => {
  const record = recordOf();
  record.written(record.append([HIBERNATED]));
  record.joined();
  record.joined();
  record.rest();
  record.left();
  expect(hasFirst(record)).toBe(true);
  record.left();
  expect(hasFirst(record)).toBe(false);
});

test("SessionRecord: frees events that are written while the session rests, and keeps those after its rest", () => {
  const record = recordOf();
  const last = record.append([HIBERNATED]);
  record.rest();
  expect(hasFirst(record)).toBe(true);
  record.written(last);
  expect(hasFirst(record)).toBe(false);
  record.written(record.append([HIBERNATED]));
  record.joined();
  record.left();
  expect(record.tail.positionAfter(1)).toBeDefined();
});
