import type { SDKResultSuccess } from "@anthropic-ai/claude-agent-sdk";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NOTHING_SPENT, type Spending, spentBy, totalsOf } from "../../src/session/cost.ts";
import { success, usageOf } from "./messages.ts";

/** A result with these running totals. */
function result(costUsd: number, inputTokens: number, outputTokens: number): SDKResultSuccess {
  return success({ total_cost_usd: costUsd, modelUsage: { model: usageOf(costUsd, inputTokens, outputTokens) } });
}

describe("totalsOf", () => {
  it("adds up the tokens of all models, and takes the cost as Claude Code says it", () => {
    const totals = totalsOf(
      success({
        total_cost_usd: 0.5,
        modelUsage: {
          one: { ...usageOf(0.2, 10, 5), cacheReadInputTokens: 100, cacheCreationInputTokens: 7 },
          two: { ...usageOf(0.1, 1, 2), cacheReadInputTokens: 1, cacheCreationInputTokens: 1 },
        },
      }),
    );
    expect(totals).toEqual({
      costUsd: 0.5,
      usage: { inputTokens: 11, outputTokens: 7, cacheReadInputTokens: 101, cacheCreationInputTokens: 8 },
    });
  });

  it("is nothing where no model was used", () => {
    expect(totalsOf(success())).toEqual(NOTHING_SPENT);
  });
});

describe("spentBy", () => {
  it("is the whole of a first turn, and the difference of a later one", () => {
    const first = result(0.1, 100, 10);
    expect(spentBy(first, NOTHING_SPENT)).toEqual(totalsOf(first));
    const { costUsd, usage } = spentBy(result(0.3, 150, 30), totalsOf(first));
    expect(costUsd).toBe(0.2);
    expect(usage).toMatchObject({ inputTokens: 50, outputTokens: 20 });
  });

  it("counts from zero after the totals were set back, as by `/clear`", () => {
    const { costUsd, usage } = spentBy(result(0.05, 20, 4), totalsOf(result(0.9, 900, 90)));
    expect(costUsd).toBe(0.05);
    expect(usage).toMatchObject({ inputTokens: 20, outputTokens: 4 });
  });

  it("is nothing for a turn that no model answered", () => {
    expect(spentBy(result(0.1, 100, 10), totalsOf(result(0.1, 100, 10)))).toEqual(NOTHING_SPENT);
  });

  it("believes Claude Code where it says what was spent since the last result", () => {
    const since = { model_usage_since_last_result: { one: usageOf(0.01, 3, 2), two: usageOf(0.02, 1, 1) } };
    const { costUsd, usage } = spentBy({ ...result(9, 999, 999), ...since }, totalsOf(result(1, 1, 1)));
    expect(costUsd).toBeCloseTo(0.03, 10);
    expect(usage).toMatchObject({ inputTokens: 4, outputTokens: 3 });
    const nothing = { ...result(9, 999, 999), model_usage_since_last_result: {} };
    expect(spentBy(nothing, NOTHING_SPENT)).toEqual(NOTHING_SPENT);
  });

  it.each([[null], ["much"], [{ one: null }], [{ one: { costUSD: "1" } }], [{ one: { costUSD: 1 } }]])(
    "does not believe %j, and takes the difference",
    (since) => {
      const later = { ...result(0.3, 150, 30), model_usage_since_last_result: since };
      expect(spentBy(later, totalsOf(result(0.1, 100, 10))).costUsd).toBe(0.2);
    },
  );

  const turn = fc.record({
    costUsd: fc.nat({ max: 10_000 }).map((n) => n / 10_000),
    input: fc.nat(1e6),
    output: fc.nat(1e5),
  });

  it("gives each turn its own part, so that the turns add up to the totals", () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 30 }), (turns) => {
        let [cost, input, output] = [0, 0, 0];
        let before: Spending = NOTHING_SPENT;
        for (const { costUsd, input: more, output: written } of turns) {
          cost += costUsd;
          input += more;
          output += written;
          const now = result(cost, input, output);
          const spent = spentBy(now, before);
          expect(spent.costUsd).toBeCloseTo(costUsd, 7);
          expect(spent.usage).toMatchObject({ inputTokens: more, outputTokens: written });
          before = totalsOf(now);
        }
      }),
    );
  });

  it("is never negative, whatever the totals do", () => {
    fc.assert(
      fc.property(turn, turn, (one, other) => {
        const before = totalsOf(result(one.costUsd, one.input, one.output));
        const { costUsd, usage } = spentBy(result(other.costUsd, other.input, other.output), before);
        for (const figure of [costUsd, ...Object.values(usage)]) expect(figure).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
