import { describe, expect, it } from "vitest";
import { PruningPace } from "../../src/journal/sqlite/sqlite-pruning-pace.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

describe("PruningPace", () => {
  /** Runs a transaction of `ms` milliseconds. Returns how long it rested before it. */
  async function restBefore(pace: PruningPace, clock: SimulatedClock, ms: number): Promise<number> {
    const since = clock.monotonic();
    let begun: number | undefined;
    const stepped = pace.step(async () => {
      begun = clock.monotonic();
      await clock.advance(ms);
    });
    while (begun === undefined) await clock.advance(1);
    await stepped;
    return begun - since;
  }

  it("rests for as long as the last transaction took, and a second at most", async () => {
    const clock = new SimulatedClock();
    const pace = new PruningPace(clock);
    const rests = [];
    for (const ms of [0, 4, 300, 5_000, 1]) rests.push(await restBefore(pace, clock, ms));
    expect(rests).toEqual([0, 0, 4, 300, 1_000]);
  });

  it("begins with few rows, and deletes more while transactions are fast", async () => {
    const clock = new SimulatedClock();
    const pace = new PruningPace(clock);
    const rows = [pace.rows];
    for (let step = 0; step < 6; step++) {
      await restBefore(pace, clock, 1);
      rows.push(pace.rows);
    }
    expect(rows).toEqual([5, 10, 20, 40, 80, 100, 100]);
  });

  it("deletes fewer rows after a slow transaction, and five at least", async () => {
    const clock = new SimulatedClock();
    const pace = new PruningPace(clock);
    for (let step = 0; step < 5; step++) await restBefore(pace, clock, 1);
    await restBefore(pace, clock, 10);
    expect(pace.rows).toBe(50);
    await restBefore(pace, clock, 500);
    expect(pace.rows).toBe(5);
  });

  it("rests after a transaction that failed", async () => {
    const clock = new SimulatedClock();
    const pace = new PruningPace(clock);
    const failed = pace.step(async () => {
      await clock.advance(20);
      throw new Error("the disk is full");
    });
    await expect(failed).rejects.toThrow("the disk is full");
    expect(await restBefore(pace, clock, 1)).toBe(20);
  });
});
