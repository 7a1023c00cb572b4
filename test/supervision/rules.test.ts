import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChildExit } from "../../src/supervision/child-spec.ts";
import { addRestart, type Decision, decide, type ExitCase } from "../../src/supervision/rules.ts";

const limit = fc.record({ maxRestarts: fc.nat(6), maxSeconds: fc.integer({ min: 1, max: 10 }) });
const gaps = fc.array(fc.nat(4_000), { minLength: 1, maxLength: 40 });

/** Returns the times of restarts, given the gaps between them. */
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

  it("keeps at most maxRestarts + 1 restarts until the intensity is exceeded", () => {
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

  it("counts a restart that is exactly one period old, and none older", () => {
    const once = { maxRestarts: 1, maxSeconds: 5 };
    expect(addRestart([0], 5_000, once).exceeded).toBe(true);
    expect(addRestart([0], 5_001, once).exceeded).toBe(false);
  });
});

describe("decide", () => {
  const crash: ChildExit = { reason: "abnormal" };
  const usual: ExitCase = {
    restart: "permanent",
    exit: crash,
    counted: [],
    now: 10_000,
    intensity: { maxRestarts: 1, maxSeconds: 5 },
    failedStarts: 0,
    onMaxRestarts: "quarantine",
  };
  const restart = (...counted: number[]): Decision => ({ outcome: "restart", counted });

  it.each<[rule: string, given: Partial<ExitCase>, decision: Decision]>([
    ["restarts a permanent child after a crash", {}, restart(10_000)],
    ["restarts a permanent child after a normal exit", { exit: { reason: "normal" } }, restart(10_000)],
    ["restarts a transient child after a crash", { restart: "transient" }, restart(10_000)],
    [
      "leaves a transient child terminated after a normal exit",
      { restart: "transient", exit: { reason: "normal" } },
      { outcome: "terminate" },
    ],
    [
      "leaves a transient child terminated after a shutdown",
      { restart: "transient", exit: { reason: "shutdown" } },
      { outcome: "terminate" },
    ],
    ["deletes a temporary child", { restart: "temporary" }, { outcome: "delete" }],
    ["quarantines a child that exceeds the intensity", { counted: [5_000] }, { outcome: "quarantine" }],
    [
      "escalates when onMaxRestarts is escalate",
      { counted: [5_000], onMaxRestarts: "escalate" },
      { outcome: "escalate" },
    ],
    ["drops restarts older than the period", { counted: [4_999] }, restart(10_000)],
    ["does not count a free exit", { counted: [5_000], exit: { ...crash, disposition: "free" } }, restart(5_000)],
    [
      "quarantines at once an exit whose disposition is quarantine",
      { exit: { ...crash, disposition: "quarantine" } },
      { outcome: "quarantine" },
    ],
    [
      "ignores the disposition of an exit that is not abnormal",
      { exit: { reason: "normal", disposition: "quarantine" } },
      restart(10_000),
    ],
    ["allows five failed starts in a row", { failedStarts: 5 }, restart(10_000)],
    ["quarantines after six failed starts in a row", { failedStarts: 6 }, { outcome: "quarantine" }],
    [
      "allows as many failed starts as maxRestarts",
      { failedStarts: 6, intensity: { maxRestarts: 6, maxSeconds: 5 } },
      restart(10_000),
    ],
  ])("%s", (_, given, decision) => {
    expect(decide({ ...usual, ...given })).toEqual(decision);
  });
});
