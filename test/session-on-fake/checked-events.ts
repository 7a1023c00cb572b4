import { isDeepStrictEqual } from "node:util";
import { eventOf, readEvent } from "../../src/session/record/event-schemas.ts";
import { type EventAppended, SessionRecord } from "../../src/session/record/session-record.ts";

const { append, open } = SessionRecord.prototype;

/** Recorded events that a reader of the journal would not get as a live reader does. */
export const unreadable: unknown[] = [];

function checked(appended: EventAppended[]): EventAppended[] {
  for (const { event } of appended) {
    const read = readEvent(JSON.parse(JSON.stringify(event)));
    if (read.type === "unknown" || !isDeepStrictEqual(read, eventOf(event))) unreadable.push(event);
  }
  return appended;
}

// Checks the events of every session of a test file, whatever the test is about.
SessionRecord.prototype.append = function (drafts): EventAppended[] {
  return checked(append.call(this, drafts));
};
SessionRecord.prototype.open = function (...opened): EventAppended[] {
  return checked(open.call(this, ...opened));
};
