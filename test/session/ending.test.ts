import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endingStages } from "../../src/session/process/ending.ts";

describe("endingStages", () => {
  it.each([true, false])("kills at once on `brutal_kill` and on 0 (busy: %s)", (busy) => {
    expect(endingStages("brutal_kill", busy)).toEqual({ inputMs: 0, termMs: 0 });
    expect(endingStages(0, busy)).toEqual({ inputMs: 0, termMs: 0 });
  });

  it("ends an idle process by the end of its input, and a busy one by SIGTERM", () => {
    expect(endingStages(5_000, false).inputMs).toBeGreaterThan(0);
    expect(endingStages(5_000, true)).toEqual({ inputMs: 0, termMs: 5_000 });
  });

  it("waits for SIGTERM without limit on `infinity`, but not for the end of input", () => {
    const { inputMs, termMs } = endingStages("infinity", false);
    expect(inputMs).toBeLessThan(5_000);
    expect(termMs).toBe(Number.POSITIVE_INFINITY);
    expect(endingStages("infinity", true)).toEqual({ inputMs: 0, termMs: Number.POSITIVE_INFINITY });
  });

  it("stays within the total time, and leaves at least half of it for SIGTERM", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1e9, noNaN: true }), fc.boolean(), (total, busy) => {
        const { inputMs, termMs } = endingStages(total, busy);
        expect(inputMs + termMs).toBeCloseTo(total, 5);
        expect(termMs).toBeGreaterThanOrEqual(total / 2);
      }),
    );
  });
});
