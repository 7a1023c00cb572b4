import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addRestart } from "../../src/supervision/rules.ts";

const limit = fc.record({ maxRestarts: fc.nat(6), maxSeconds: fc.integer({ min: 1, max: 10 }) });
const gaps = fc.array(fc.nat(4_000), { minLength: 1, maxLength: 40 });

/** Times of restarts from the gaps between them. */
function timesOf(steps: readonly number[]): number[] {
  let now = 0;
  return steps.map((step) => {
    now += step;
    return now;
  });
}

describe("addRestart", () => {
  it("is exceeded exactly when more than maxRestarts lie within the last maxSeconds, both ends included", () => {
    fc.assert(
      fc.property(limit, gaps, (intensity, steps) => {
        const times = timesOf(steps);
        let counted: readonly number[] = [];
        times.forEach((now, index) => {
          const count = addRestart(counted, now, intensity);
          const inPeriod = times.slice(0, index + 1).filter((at) => at >= now - intensity.maxSeconds * 1_000);
          expect(count.exceeded).toBe(inPeriod.length > intensity.maxRestarts);
          counted = count.restarts;
        });
      }),
    );
  });

  it("keeps no more than maxRestarts + 1 as long as nobody goes on after it was exceeded", () => {
    fc.assert(
      fc.property(limit, gaps, (intensity, steps) => {
        let counted: readonly number[] = [];
        for (const now of timesOf(steps)) {
          const count = addRestart(counted, now, intensity);
          expect(count.restarts.length).toBeLessThanOrEqual(intensity.maxRestarts + 1);
          if (count.exceeded) return;
          counted = count.restarts;
        }
      }),
    );
  });

  it("counts a restart exactly one period old, and none older", () => {
    const once = { maxRestarts: 1, maxSeconds: 5 };
    expect(addRestart([0], 5_000, once).exceeded).toBe(true);
    expect(addRestart([0], 5_001, once).exceeded).toBe(false);
  });
});
