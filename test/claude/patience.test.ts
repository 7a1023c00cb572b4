import { expect, test } from "vitest";
import { scheduleDeadline } from "../../src/claude/patience.ts";
import type { Clock, Timer } from "../../src/clock.ts";

/** A clock of a host that may be suspended: timers that became due meanwhile fire late, when it continues. */
class SuspendedClock implements Clock {
  #time = 0;
  #timers: { readonly at: number; readonly fire: () => void }[] = [];

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  schedule(ms: number, callback: () => void): Timer {
    const timer = { at: this.#time + ms, fire: callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Suspends the host. */
  suspend(ms: number): void {
    this.#time += ms;
    this.#fire();
  }

  run(ms: number): void {
    for (const end = this.#time + ms; this.#time < end; ) this.suspend(Math.min(100, end - this.#time));
  }

  #fire(): void {
    const due = this.#timers.filter(({ at }) => at <= this.#time);
    this.#timers = this.#timers.filter(({ at }) => at > this.#time);
    for (const { fire } of due) fire();
  }
}

function deadline(ms: number) {
  const clock = new SuspendedClock();
  let over = false;
  const timer = scheduleDeadline(clock, ms, () => {
    over = true;
  });
  return { clock, timer, over: () => over };
}

test.each([300, 1_000, 2_500, 10_000])(
  "scheduleDeadline(): fires a deadline of %d ms in time on a running host",
  (ms) => {
    const { clock, over } = deadline(ms);
    clock.run(ms - 1);
    expect(over()).toBe(false);
    clock.run(101);
    expect(over()).toBe(true);
  },
);

test("scheduleDeadline(): waits for its remaining time after the host was suspended", () => {
  const { clock, over } = deadline(5_000);
  clock.run(2_000);
  clock.suspend(3_600_000);
  expect(over()).toBe(false);
  clock.run(2_500);
  expect(over()).toBe(false);
  clock.run(1_000);
  expect(over()).toBe(true);
});

test("scheduleDeadline(): leaves time to read the output when it became due while the host was suspended", () => {
  const { clock, over } = deadline(300);
  clock.suspend(60_000);
  expect(over()).toBe(false);
  clock.run(300);
  expect(over()).toBe(true);
});

test("scheduleDeadline(): fires on a host that is suspended again and again", () => {
  const { clock, over } = deadline(5_000);
  for (let times = 0; times < 49; times++) clock.suspend(10_000);
  expect(over()).toBe(false);
  clock.suspend(10_000);
  expect(over()).toBe(true);
});

test("scheduleDeadline(): leaves no timer after a cancel", () => {
  const { clock, timer, over } = deadline(5_000);
  clock.run(2_000);
  timer.cancel();
  expect(clock.timers).toBe(0);
  clock.run(10_000);
  expect(over()).toBe(false);
});
