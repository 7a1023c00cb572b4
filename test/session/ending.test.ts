import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endingStages } from "../../src/session/process/ending.ts";

describe("endingStages", () => {
  it.each([true, false])("kills at once on `brutal_kill`, and in no time at all (busy: %s)", (busy) => {
    expect(endingStages("brutal_kill", busy)).toEqual({ inputMs: 0, termMs: 0 });
    expect(endingStages(0, busy)).toEqual({ inputMs: 0, termMs: 0 });
  });

  it("asks an idle process by the end of its input, one at work by SIGTERM", () => {
    expect(endingStages(5_000, false).inputMs).toBeGreaterThan(0);
    expect(endingStages(5_000, true)).toEqual({ inputMs: 0, termMs: 5_000 });
  });

  it("waits without end on `infinity`, but not for the end of the input alone", () => {
    const { inputMs, termMs } = endingStages("infinity", false);
    expect(inputMs).toBeLessThan(5_000);
    expect(termMs).toBe(Number.POSITIVE_INFINITY);
    expect(endingStages("infinity", true)).toEqual({ inputMs: 0, termMs: Number.POSITIVE_INFINITY });
  });

  it("takes no longer than it may, and leaves time for SIGTERM", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1e9, noNaN: true }), fc.boolean(), (total, busy) => {
        const { inputMs, termMs } = endingStages(total, busy);
        expect(inputMs + termMs).toBeCloseTo(total, 5);
        expect(termMs).toBeGreaterThanOrEqual(total / 2);
      }),
    );
  });
});
