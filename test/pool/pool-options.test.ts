import { expect, test } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { pool, poolSettings } from "../../src/pool/pool-options.ts";

function problems(options: object, name = "p"): string[] {
  try {
    poolSettings(pool(name, options), "children[0]");
  } catch (error) {
    if (CastellanError.is(error, "INVALID_OPTIONS")) {
      return error.details.problems.map(({ field, message }) => `${field}: ${message}`);
    }
    throw error;
  }
  return [];
}

test("poolSettings(): fills in defaults", () => {
  const { sessions, ...settings } = poolSettings(pool("p", { size: 4, maxTurns: 5 }), "");
  expect(sessions(3)).toEqual({ maxTurns: 5 });
  expect(settings).toEqual({
    name: "p",
    min: 4,
    max: 4,
    shrinkAfterMs: 60_000,
    balance: "least_busy",
    fresh: true,
    leaseMs: undefined,
    waitingLimit: 1_000,
    jobLimit: 10_000,
  });
  expect(poolSettings(pool("p", { max: 3 }), "")).toMatchObject({ min: 1, max: 3 });
  expect(poolSettings(pool("p", { min: 0, max: 3, lease: "5m", conversation: "shared" }), "")).toMatchObject({
    min: 0,
    max: 3,
    leaseMs: 300_000,
    fresh: false,
  });
});

test.each([
  [{}, /children\[0\]\.size: expected a number of members/],
  [{ size: 0 }, /children\[0\]\.size/],
  [{ size: 1.5 }, /children\[0\]\.size/],
  [{ size: 2, max: 3 }, /children\[0\]\.max: cannot be combined with `size`/],
  [{ size: 2, min: 1 }, /children\[0\]\.min: cannot be combined/],
  [{ min: 3, max: 2 }, /children\[0\]\.min: expected at most `max`, which is 2/],
  [{ min: 3 }, /children\[0\]\.size/],
  [{ size: 2, balance: "fastest" }, /children\[0\]\.balance/],
  [{ size: 2, balance: { weights: [-1] } }, /children\[0\]\.balance/],
  [{ size: 2, conversation: "private" }, /children\[0\]\.conversation/],
  [{ size: 2, lease: "soon" }, /children\[0\]\.lease: expected a duration/],
  [{ size: 2, waitingLimit: -1 }, /children\[0\]\.waitingLimit/],
  [{ size: 2, waitingLimt: 1 }, /children\[0\]\.waitingLimt: is not an option of a pool; did you mean `waitingLimit`/],
  [{ size: 2, idleTimout: "1m" }, /children\[0\]\.idleTimout: is not an option of a pool; did you mean `idleTimeout`/],
  [{ size: 2, maxTurns: "many" }, /children\[0\]\.maxTurns/],
  [{ size: 2, sessionId: "x" }, /children\[0\]\.sessionId: cannot be set on a pool/],
  [{ size: 2, resume: "x" }, /children\[0\]\.resume: cannot be set on a pool/],
  [{ size: 2, name: "x" }, /children\[0\]\.name: is not an option of a pool/],
])("poolSettings(): rejects %j", (options, expected) => {
  expect(problems(options).join("\n")).toMatch(expected);
});

test("poolSettings(): merges the result of `member` over the other options, and checks it", () => {
  const of = (member: unknown): ReturnType<typeof poolSettings> =>
    poolSettings(pool("p", { size: 2, model: "a", maxTurns: 5, member: member as () => object }), "");
  expect(of((index: number) => ({ model: `m${index}` })).sessions(1)).toEqual({ model: "m1", maxTurns: 5 });
  expect(() => of((index: number) => ({ modl: index })).sessions(1)).toThrow(/member\(1\)\.modl.*`model`/);
  expect(() => of(async () => ({})).sessions(0)).toThrow("synchronously");
  expect(() => of(() => 7).sessions(0)).toThrow("synchronously");
  expect(() => of({})).toThrow("member");
});

test("poolSettings(): rejects an empty name", () => {
  expect(problems({ size: 1 }, "").join("\n")).toMatch(/children\[0\]\.pool/);
});
