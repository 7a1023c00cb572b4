import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../src/clock.ts";

const DAY = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("systemClock.schedule", () => {
  it("calls once, at the given time and not before", () => {
    const callback = vi.fn();
    systemClock.schedule(1_000, callback);
    vi.advanceTimersByTime(999);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    vi.advanceTimersByTime(DAY);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  it.each([
    ["exactly what setTimeout can count", 2 ** 31 - 1],
    ["one millisecond more than setTimeout can count", 2 ** 31],
    ["30 days", 30 * DAY],
    ["a year", 365 * DAY],
  ])("honours a delay of %s", (_, delay) => {
    const callback = vi.fn();
    systemClock.schedule(delay, callback);
    vi.advanceTimersByTime(delay - 1);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(callback).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("never calls after an infinite delay", () => {
    const callback = vi.fn();
    systemClock.schedule(Number.POSITIVE_INFINITY, callback);
    vi.advanceTimersByTime(400 * DAY);
    expect(callback).not.toHaveBeenCalled();
  });

  it.each([0, -5])("calls after %d ms on a later tick, never synchronously", (delay) => {
    const callback = vi.fn();
    systemClock.schedule(delay, callback);
    expect(callback).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(callback).toHaveBeenCalledTimes(1);
  });

  it("cancels before the call, in the middle of a long delay, twice, and after the call", () => {
    const early = vi.fn();
    const long = vi.fn();
    const late = vi.fn();
    const first = systemClock.schedule(10, early);
    first.cancel();
    first.cancel();
    const second = systemClock.schedule(60 * DAY, long);
    const third = systemClock.schedule(5, late);
    vi.advanceTimersByTime(30 * DAY);
    second.cancel();
    third.cancel();
    vi.advanceTimersByTime(60 * DAY);
    expect(early).not.toHaveBeenCalled();
    expect(long).not.toHaveBeenCalled();
    expect(late).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("lets the process exit while only background timers wait, in each leg of a long delay", () => {
    const handles: NodeJS.Timeout[] = [];
    const setTimeoutOf = globalThis.setTimeout;
    const spy = vi.spyOn(globalThis, "setTimeout").mockImplementation((...parameters) => {
      const handle = setTimeoutOf(...parameters);
      handles.push(handle);
      return handle;
    });
    systemClock.schedule(30 * DAY, () => {}, { background: true });
    vi.advanceTimersByTime(26 * DAY);
    systemClock.schedule(1_000, () => {});
    spy.mockRestore();
    expect(handles.map((handle) => handle.hasRef())).toEqual([false, false, true]);
  });
});

describe("systemClock", () => {
  it("returns wall-clock time, and a monotonic time that ignores changes of the wall clock", () => {
    const now = Date.UTC(2026, 0, 1);
    vi.setSystemTime(now);
    const before = systemClock.monotonic();
    expect(systemClock.now()).toBe(now);
    vi.setSystemTime(now - DAY);
    expect(systemClock.now()).toBe(now - DAY);
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(before);
    vi.advanceTimersByTime(250);
    expect(systemClock.monotonic() - before).toBeCloseTo(250, 6);
  });
});
