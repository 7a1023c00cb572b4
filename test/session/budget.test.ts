import { describe, expect, it } from "vitest";
import { NOTHING_SPENT } from "../../src/journal/model/spending.ts";
import { BudgetMeter } from "../../src/session/options/budget.ts";
import { SetClock } from "../set-clock.ts";

const DAY = 86_400_000;
const DAILY = { usd: 1, per: "day" } as const;

function spent(usd: number): readonly [typeof NOTHING_SPENT] {
  return [{ ...NOTHING_SPENT, costUsd: usd }];
}

describe("BudgetMeter", () => {
  it("counts each day on its own, and all days for a total budget", () => {
    const clock = new SetClock();
    const meter = new BudgetMeter(clock);
    meter.add(spent(0.75));
    expect(meter.status(DAILY).spentUsd).toBe(0.75);
    clock.set(DAY);
    expect(meter.status(DAILY).spentUsd).toBe(0);
    meter.add(spent(0.5));
    expect(meter.status(DAILY).spentUsd).toBe(0.5);
    expect(meter.status({ usd: 1 }).spentUsd).toBe(1.25);
  });

  it("tells when a budget per day is whole again: at the next midnight, UTC", () => {
    const clock = new SetClock();
    const meter = new BudgetMeter(clock);
    for (const [now, resetsAt] of [
      [0, DAY],
      [DAY - 1, DAY],
      [DAY, 2 * DAY],
      [20_786 * DAY + 1, 20_787 * DAY],
    ] as const) {
      clock.set(now - clock.now());
      expect(meter.status(DAILY)).toMatchObject({ resetsAt });
      expect(meter.status({ usd: 1 })).not.toHaveProperty("resetsAt");
    }
  });

  it.each([DAY, 400 * DAY, -DAY])("keeps today's spending when the clock was off by %i ms and is corrected", (ms) => {
    const clock = new SetClock();
    const meter = new BudgetMeter(clock);
    clock.set(1_000 * DAY);
    meter.add(spent(0.75));
    clock.set(ms);
    meter.add(spent(0.5));
    clock.set(-ms);
    expect(meter.status(DAILY).spentUsd).toBe(0.75);
    meter.add(spent(0.25));
    expect(meter.refusal(DAILY, "session", "it")).toMatchObject({ code: "BUDGET_EXCEEDED" });
  });

  it("loads spending per day from the journal, in any order", () => {
    const clock = new SetClock();
    clock.set(100 * DAY);
    const meter = new BudgetMeter(clock);
    const days = Array.from({ length: 101 }, (_, day) => new Date(day * DAY).toISOString().slice(0, 10)).toReversed();
    meter.load(days.map((day) => ({ ...NOTHING_SPENT, day, costUsd: 0.5, turns: 1 })));
    expect(meter.status(DAILY).spentUsd).toBe(0.5);
    expect(meter.status({ usd: 1 }).spentUsd).toBe(50.5);
  });
});
