import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { decayed, isOfSession, RecentErrors } from "../../src/session/status/recent-errors.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";

const partial = { turnId: "t", partialText: "", toolUses: [] };
const exit = { class: "crash", message: "died", at: 0 } as const;
const failed = (what: "overload" | "request" | "turn"): CastellanError =>
  new CastellanError("TURN_FAILED", "", { details: { ...partial, class: what } });

test.each([
  [failed("overload"), true],
  [failed("request"), false],
  [failed("turn"), false],
  [new CastellanError("TURN_INTERRUPTED", "", { details: { ...partial, exit } }), true],
  [new CastellanError("TURN_INTERRUPTED", "", { details: partial }), false],
  [new CastellanError("TURN_TIMEOUT", "", { details: { ...partial, timeoutMs: 1 } }), true],
  [new CastellanError("TURN_CANCELLED", "", { details: { turnId: "t" } }), false],
  [new Error("other"), false],
])("isOfSession(): counts %s: %s", (error, expected) => {
  expect(isOfSession(error)).toBe(expected);
});

test("decayed(): halves an error count every thirty seconds", () => {
  expect(decayed({ errors: 4, at: 0 }, 30_000)).toBe(2);
  expect(decayed({ errors: 4, at: 0 }, 60_000)).toBe(1);
  expect(decayed({ errors: 4, at: 100 }, 0)).toBe(4);
});

test("RecentErrors: adds failures of turns, and lets them decay", async () => {
  const clock = new SimulatedClock();
  const errors = new RecentErrors(clock);
  const fails = async (): Promise<void> => {
    errors.watch(Promise.reject(failed("overload")));
    await clock.advance(0);
  };
  await fails();
  expect(errors.now).toBe(1);
  await clock.advance(30_000);
  await fails();
  expect(errors.now).toBe(1.5);
  errors.watch(Promise.resolve());
  await clock.advance(30_000);
  expect(errors.now).toBe(0.75);
});
