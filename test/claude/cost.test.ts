import type { SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { spentBy, type Totals, totalsOf } from "../../src/claude/messages/cost.ts";
import { NOTHING_SPENT, type Spending, sumOf } from "../../src/journal/model/spending.ts";
import { success, usageOf } from "../session/messages.ts";

/** A result with these cumulative totals. */
function result(costUsd: number, inputTokens: number, outputTokens: number): SDKResultSuccess {
  return success({ total_cost_usd: costUsd, modelUsage: { model: usageOf(costUsd, inputTokens, outputTokens) } });
}

/** Sums the spending of all models. */
function spent(result: SDKResultSuccess, before: Totals): Spending {
  return sumOf(spentBy(result, before));
}

describe("totalsOf", () => {
  it("returns totals by model", () => {
    const one = { ...usageOf(0.2, 10, 5), cacheReadInputTokens: 100, cacheCreationInputTokens: 7 };
    expect(totalsOf(success({ total_cost_usd: 0.3, modelUsage: { one, two: usageOf(0.1, 1, 2) } }))).toMatchObject({
      one: { costUsd: 0.2, usage: { inputTokens: 10, outputTokens: 5, cacheReadInputTokens: 100 } },
      two: { costUsd: 0.1, usage: { inputTokens: 1, outputTokens: 2 } },
    });
  });

  it("is empty without models", () => {
    expect(totalsOf(success())).toEqual({});
  });
});

describe("spentBy", () => {
  it("returns the whole of a first turn, and the difference for a later one", () => {
    const first = result(0.1, 100, 10);
    expect(spentBy(first, {})).toMatchObject([{ model: "model", costUsd: 0.1, usage: { inputTokens: 100 } }]);
    const { costUsd, usage } = spent(result(0.3, 150, 30), totalsOf(first));
    expect(costUsd).toBe(0.2);
    expect(usage).toMatchObject({ inputTokens: 50, outputTokens: 20 });
  });

  it("returns spending by model, without models that spent nothing", () => {
    const before = totalsOf(success({ modelUsage: { one: usageOf(1, 10, 5), two: usageOf(2, 10, 5) } }));
    const now = success({ modelUsage: { one: usageOf(1, 10, 5), two: usageOf(3, 20, 6), three: usageOf(4, 1, 1) } });
    expect(spentBy(now, before).map(({ model, costUsd }) => [model, costUsd])).toEqual([
      ["two", 1],
      ["three", 4],
    ]);
  });

  it("counts from zero after the totals were reset, as by `/clear`", () => {
    const { costUsd, usage } = spent(result(0.05, 20, 4), totalsOf(result(0.9, 900, 90)));
    expect(costUsd).toBe(0.05);
    expect(usage).toMatchObject({ inputTokens: 20, outputTokens: 4 });
    const before = totalsOf(success({ modelUsage: { gone: usageOf(1, 1, 1), model: usageOf(0.01, 1, 1) } }));
    expect(spent(result(0.05, 20, 4), before).costUsd).toBe(0.05);
  });

  it("is empty for a turn that no model answered", () => {
    expect(spentBy(result(0.1, 100, 10), totalsOf(result(0.1, 100, 10)))).toEqual([]);
  });

  it("prefers Claude Code's own figures since the last result", () => {
    const since = { model_usage_since_last_result: { one: usageOf(0.01, 3, 2), two: usageOf(0.02, 1, 1) } };
    const { costUsd, usage } = spent({ ...result(9, 999, 999), ...since }, totalsOf(result(1, 1, 1)));
    expect(costUsd).toBeCloseTo(0.03, 10);
    expect(usage).toMatchObject({ inputTokens: 4, outputTokens: 3 });
    const nothing = { ...result(9, 999, 999), model_usage_since_last_result: {} };
    expect(spent(nothing, {})).toEqual(NOTHING_SPENT);
  });

  it.each([[null], ["much"], [{ one: null }], [{ one: { costUSD: "1" } }], [{ one: { costUSD: 1 } }]])(
    "ignores %j as Claude Code's figures, and takes the difference",
    (since) => {
      const later = { ...result(0.3, 150, 30), model_usage_since_last_result: since };
      expect(spent(later, totalsOf(result(0.1, 100, 10))).costUsd).toBe(0.2);
    },
  );

  const turn = fc.record({
    costUsd: fc.nat({ max: 10_000 }).map((n) => n / 10_000),
    input: fc.nat(1e6),
    output: fc.nat(1e5),
  });

  it("splits the totals into turns without loss", () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 30 }), (turns) => {
        let [cost, input, output] = [0, 0, 0];
        let before: Totals = {};
        for (const { costUsd, input: more, output: written } of turns) {
          cost += costUsd;
          input += more;
          output += written;
          const now = result(cost, input, output);
          const difference = spent(now, before);
          expect(difference.costUsd).toBeCloseTo(costUsd, 7);
          expect(difference.usage).toMatchObject({ inputTokens: more, outputTokens: written });
          before = totalsOf(now);
        }
      }),
    );
  });

  it("is never negative", () => {
    fc.assert(
      fc.property(turn, turn, (one, other) => {
        const before = totalsOf(result(one.costUsd, one.input, one.output));
        const { costUsd, usage } = spent(result(other.costUsd, other.input, other.output), before);
        for (const figure of [costUsd, ...Object.values(usage)]) expect(figure).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
