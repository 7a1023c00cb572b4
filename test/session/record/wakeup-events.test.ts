import { expect, test } from "vitest";
import { wakeupEvents } from "../../../src/session/record/wakeup-events.ts";

test("wakeupEvents: tells scheduled, fired and cancelled turns apart", () => {
  const once = { id: "wakeup", at: 10, recurring: false };
  const cron = { id: "c1", at: 20, recurring: true };
  expect(wakeupEvents([], [once], false)).toEqual([
    { type: "wakeup_scheduled", id: "wakeup", due: 10, recurring: false },
  ]);
  expect(wakeupEvents([once], [once, cron], false)).toEqual([
    { type: "wakeup_scheduled", id: "c1", due: 20, recurring: true },
  ]);
  expect(wakeupEvents([once, cron], [cron], true)).toEqual([{ type: "wakeup_fired", id: "wakeup" }]);
  expect(wakeupEvents([cron], [], false)).toEqual([{ type: "wakeup_cancelled", id: "c1" }]);
  expect(wakeupEvents([once], [{ ...once, at: 30 }], false)).toEqual([
    { type: "wakeup_scheduled", id: "wakeup", due: 30, recurring: false },
  ]);
});
