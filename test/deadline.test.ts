import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../src/clock.ts";
import { withDeadline } from "../src/deadline.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("withDeadline", () => {
  it("resolves with the value of work that is in time, and cancels its timer", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const outcome = withDeadline(systemClock, 1_000, promise, () => "late");
    await vi.advanceTimersByTimeAsync(999);
    resolve("done");
    expect(await outcome).toBe("done");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("rejects with the error of work that fails in time, and cancels its timer", async () => {
    const failed = new Error("no");
    await expect(withDeadline(systemClock, 1_000, Promise.reject(failed))).rejects.toBe(failed);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("resolves with undefined, or with what late returns, after the deadline", async () => {
    const never = new Promise<string>(() => {});
    const outcomes = Promise.all([
      withDeadline(systemClock, 1_000, never),
      withDeadline(systemClock, 1_000, never, () => "late"),
    ]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await outcomes).toEqual([undefined, "late"]);
  });

  it("rejects with what late throws, and ignores a rejection after that", async () => {
    const { promise, reject } = Promise.withResolvers<string>();
    const late = new Error("late");
    const outcome = withDeadline(systemClock, 1_000, promise, () => {
      throw late;
    });
    const rejected = expect(outcome).rejects.toBe(late);
    await vi.advanceTimersByTimeAsync(1_000);
    await rejected;
    reject(new Error("after the deadline"));
    await vi.advanceTimersByTimeAsync(1);
  });
});
