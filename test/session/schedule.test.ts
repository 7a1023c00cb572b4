import { describe, expect, it } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { nextAfter, nextRun, type ScheduleOptions, scheduleOf } from "../../src/session/turns/schedule.ts";

const at = (date: string): number => Date.parse(date);
const iso = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : new Date(time).toISOString();

/** Returns the next runs, each after the one before. */
function runs(every: number | string, timezone: string, after: string, count: number): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  for (let time: number | undefined = at(after); found.length < count && time !== undefined; ) {
    time = nextRun({ every, timezone }, time);
    found.push(iso(time));
  }
  return found;
}

describe("scheduleOf", () => {
  const now = at("2026-03-02T10:00:30Z");
  const due = (options: ScheduleOptions): string | undefined => iso(scheduleOf(options, now, "test").dueAt);

  it("takes dates, times, durations and cron expressions", () => {
    expect(due({ runAt: new Date("2026-03-05T00:00:00Z") })).toBe("2026-03-05T00:00:00.000Z");
    expect(due({ runAt: at("2020-01-01T00:00:00Z") })).toBe("2020-01-01T00:00:00.000Z");
    expect(due({ every: "10m" })).toBe("2026-03-02T10:10:30.000Z");
    expect(due({ every: 90_000 })).toBe("2026-03-02T10:02:00.000Z");
    expect(due({ every: "10m", runAt: at("2026-03-02T12:00:00Z") })).toBe("2026-03-02T12:00:00.000Z");
    expect(due({ every: "0 9 * * *", timezone: "America/New_York" })).toBe("2026-03-02T14:00:00.000Z");
    expect(due({ every: "30 0 9 * * *", timezone: "UTC" })).toBe("2026-03-03T09:00:30.000Z");
    // A run at `runAt` itself counts.
    const runAt = at("2026-04-01T09:00:00Z");
    expect(due({ every: "0 9 * * *", timezone: "UTC", runAt })).toBe("2026-04-01T09:00:00.000Z");
  });

  it.each<[ScheduleOptions, string]>([
    [{ runAt: Number.NaN }, "runAt"],
    [{ runAt: new Date("nonsense") }, "runAt"],
    [{ runAt: 1e20 }, "runAt"],
    [{ every: 999 }, "every"],
    [{ every: -5 }, "every"],
    [{ every: "often" }, "every"],
    [{ every: "61 * * * *" }, "every"],
    [{ every: "0 0 0 1 1 * 2030" }, "every"],
    [{ every: "0 0 30 2 *" }, "every"],
    [{ every: "0 9 * * *", timezone: "Mars/Olympus" }, "timezone"],
    [{ every: "10m", timezone: "UTC" }, "timezone"],
    [{ timezone: "UTC" }, "timezone"],
  ])("rejects %j", (options, field) => {
    let error: unknown;
    try {
      scheduleOf(options, now, "test");
    } catch (thrown) {
      error = thrown;
    }
    expect(CastellanError.is(error, "INVALID_OPTIONS") && error.details.problems[0]?.field).toBe(field);
  });
});

describe("nextRun", () => {
  it("runs once on a day without the hour, right after the change to summer time", () => {
    expect(runs("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3)).toEqual([
      "2026-03-28T01:30:00.000Z",
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T00:30:00.000Z",
    ]);
  });

  it("runs once on a day that has the hour twice", () => {
    expect(runs("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3)).toEqual([
      "2026-10-24T00:30:00.000Z",
      "2026-10-25T00:30:00.000Z",
      "2026-10-26T01:30:00.000Z",
    ]);
  });

  it("runs in every hour of such days", () => {
    expect(runs("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3)).toEqual([
      "2026-10-25T00:00:00.000Z",
      "2026-10-25T01:00:00.000Z",
      "2026-10-25T02:00:00.000Z",
    ]);
  });
});

describe("nextAfter", () => {
  it("does not make up for missed runs, and keeps the beat of intervals", () => {
    expect(nextAfter({ every: 10 }, 100, 100)).toBe(110);
    expect(nextAfter({ every: 10 }, 100, 109)).toBe(110);
    expect(nextAfter({ every: 10 }, 100, 110)).toBe(120);
    expect(nextAfter({ every: 10 }, 100, 1_234)).toBe(1_240);
    const daily = { every: "0 9 * * *", timezone: "UTC" };
    const next = nextAfter(daily, at("2026-03-02T09:00:00Z"), at("2026-03-09T12:00:00Z"));
    expect(iso(next)).toBe("2026-03-10T09:00:00.000Z");
  });

  it("does not run twice for the same time after the clock was set back", () => {
    const hourly = { every: "0 * * * *", timezone: "UTC" };
    expect(iso(nextAfter(hourly, at("2026-03-02T10:00:00Z"), at("2026-03-02T09:59:59Z")))).toBe(
      "2026-03-02T11:00:00.000Z",
    );
  });
});
