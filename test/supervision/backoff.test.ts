import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Backoff, backoffDelay, CHILD_BACKOFF } from "../../src/supervision/backoff.ts";

const backoff: fc.Arbitrary<Backoff> = fc.record({
  base: fc.double({ min: 1, max: 10_000, noNaN: true }),
  factor: fc.double({ min: 1, max: 10, noNaN: true }),
  max: fc.double({ min: 1, max: 3_600_000, noNaN: true }),
  jitter: fc.double({ min: 0, max: 0.99, noNaN: true }),
});
const restart = fc.integer({ min: 1, max: 10_000 });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("backoffDelay", () => {
  it("restarts at once first, then doubles the delay from 100 ms to 30 s by default", () => {
    const delays = [1, 2, 3, 4, 5, 10, 11, 12].map((number) => backoffDelay(number, CHILD_BACKOFF, () => 0.5));
    expect(delays).toEqual([0, 100, 200, 400, 800, 25_600, 30_000, 30_000]);
  });

  it("keeps the delay within its jitter, and the delay without jitter within the maximum", () => {
    fc.assert(
      fc.property(restart, backoff, chance, (number, options, random) => {
        const delay = backoffDelay(number, options, () => random);
        const wait = backoffDelay(number, { ...options, jitter: 0 }, () => random);
        expect(wait).toBeLessThanOrEqual(options.max);
        expect(delay).toBeGreaterThanOrEqual(wait * (1 - options.jitter) - 1e-6);
        expect(delay).toBeLessThanOrEqual(wait * (1 + options.jitter) + 1e-6);
      }),
    );
  });

  it("never shrinks from one restart to the next when jitter is 0", () => {
    fc.assert(
      fc.property(restart, backoff, (number, options) => {
        const calm = { ...options, jitter: 0 };
        expect(backoffDelay(number + 1, calm, () => 0)).toBeGreaterThanOrEqual(backoffDelay(number, calm, () => 0));
      }),
    );
  });

  it("returns 0 for the first restart of a series and for no other", () => {
    fc.assert(
      fc.property(restart, backoff, chance, (number, options, random) => {
        expect(backoffDelay(number, options, () => random) === 0).toBe(number === 1);
      }),
    );
  });
});
