import { expect, test } from "vitest";
import { scheduleDeadline } from "../../src/claude/patience.ts";
import type { Clock, Timer } from "../../src/clock.ts";

/** A clock of a host that may be held up: timers that have become due meanwhile fire late, when it goes on. */
class HeldUpClock implements Clock {
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

  /** Nothing happens for so long. */
  holdUp(ms: number): void {
    this.#time += ms;
    this.#fire();
  }

  run(ms: number): void {
    for (const end = this.#time + ms; this.#time < end; ) this.holdUp(Math.min(100, end - this.#time));
  }

  #fire(): void {
    const due = this.#timers.filter(({ at }) => at <= this.#time);
    this.#timers = this.#timers.filter(({ at }) => at > this.#time);
    for (const { fire } of due) fire();
  }
}

function deadline(ms: number) {
  const clock = new HeldUpClock();
  let over = false;
  const timer = scheduleDeadline(clock, ms, () => {
    over = true;
  });
  return { clock, timer, over: () => over };
}

test.each([300, 1_000, 2_500, 10_000])("a deadline of %d ms is over in time on a host that runs", (ms) => {
  const { clock, over } = deadline(ms);
  clock.run(ms - 1);
  expect(over()).toBe(false);
  clock.run(101);
  expect(over()).toBe(true);
});

test("what was left of it when the host was held up is left when it goes on", () => {
  const { clock, over } = deadline(5_000);
  clock.run(2_000);
  clock.holdUp(3_600_000);
  expect(over()).toBe(false);
  clock.run(2_500);
  expect(over()).toBe(false);
  clock.run(1_000);
  expect(over()).toBe(true);
});

test("one that became due while the host was held up leaves time to read what was said", () => {
  const { clock, over } = deadline(300);
  clock.holdUp(60_000);
  expect(over()).toBe(false);
  clock.run(300);
  expect(over()).toBe(true);
});

test("it is over also on a host that is held up all the time", () => {
  const { clock, over } = deadline(5_000);
  for (let times = 0; times < 49; times++) clock.holdUp(10_000);
  expect(over()).toBe(false);
  clock.holdUp(10_000);
  expect(over()).toBe(true);
});

test("one that is cancelled leaves no timer", () => {
  const { clock, timer, over } = deadline(5_000);
  clock.run(2_000);
  timer.cancel();
  expect(clock.timers).toBe(0);
  clock.run(10_000);
  expect(over()).toBe(false);
});
