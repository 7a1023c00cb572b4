import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { leaseLeftMs, type Moment, momentOf } from "../../src/cluster/lease.ts";
import { SimulatedClock } from "../../src/testing/index.ts";

const SENT: Moment = { monotonic: 1_000, wall: 500_000 };

describe("leaseLeftMs", () => {
  test.each<[what: string, monotonic: number, wall: number, left: number]>([
    ["at once", 0, 0, 4_000],
    ["a second later", 1_000, 1_000, 3_000],
    ["when the time is over", 4_000, 4_000, 0],
    ["after a suspension, which only the wall clock has seen", 10, 30_000, -26_000],
    ["after the wall clock was set back", 3_000, -3_600_000, 1_000],
    ["after the wall clock was set forward", 100, 3_600_000, -3_596_000],
  ])("returns the time left %s", (_, monotonic, wall, left) => {
    const now = { monotonic: SENT.monotonic + monotonic, wall: SENT.wall + wall };
    expect(leaseLeftMs(SENT, now, 5_000, 1_000)).toBe(left);
  });

  const ms = fc.integer({ min: 0, max: 1_000_000 });
  const moment = fc.record({ monotonic: ms, wall: ms });

  test("is never longer than either clock allows", () => {
    fc.assert(
      fc.property(moment, moment, ms, ms, (sent, now, staleMs, marginMs) => {
        const left = leaseLeftMs(sent, now, staleMs, marginMs);
        expect(left).toBeLessThanOrEqual(staleMs - marginMs - (now.monotonic - sent.monotonic));
        expect(left).toBeLessThanOrEqual(staleMs - marginMs - (now.wall - sent.wall));
      }),
    );
  });

  test("is 0 `marginMs` before others may claim the sessions", () => {
    fc.assert(
      fc.property(moment, ms, ms, (sent, staleMs, marginMs) => {
        const stale = { monotonic: sent.monotonic + staleMs, wall: sent.wall + staleMs };
        expect(leaseLeftMs(sent, stale, staleMs, marginMs) + marginMs).toBeCloseTo(0);
      }),
    );
  });
});

test("momentOf: reads both clocks", async () => {
  const clock = new SimulatedClock();
  await clock.advance(250);
  const ahead = { ...clock, monotonic: () => clock.monotonic(), now: () => clock.now() + 10, schedule: clock.schedule };
  expect(momentOf(ahead)).toEqual({ monotonic: 250, wall: 260 });
});
