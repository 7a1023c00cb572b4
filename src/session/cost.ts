import type { ModelUsage, SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";

/** Tokens that the models used. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly cacheCreationInputTokens: number;
}

/** What was spent: US dollars, as Claude Code estimates them, and tokens, over all models. */
export interface Spending {
  readonly costUsd: number;
  readonly usage: Usage;
}

export const NOTHING_SPENT: Spending = {
  costUsd: 0,
  usage: { inputTokens: 0, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
};

type Result = Pick<SDKResultMessage, "total_cost_usd" | "modelUsage">;

/** The running totals that a result carries. */
export function totalsOf(result: Result): Spending {
  return { ...sum(Object.values(result.modelUsage)), costUsd: result.total_cost_usd };
}

/**
 * What the turn of this result cost; `before` are the totals of the result before it.
 *
 * The totals are a process's own account. A resumed process goes on from what the transcript says, which lacks whatever
 * came after the last orderly end, so after a crash their difference is wrong. Claude Code 2.1 also says what was spent
 * since its last result, a field that the SDK's types leave out; it is right in every case, and is used where it is.
 */
export function spentBy(result: Result, before: Spending): Spending {
  if ("model_usage_since_last_result" in result && isUsageByModel(result.model_usage_since_last_result)) {
    return sum(Object.values(result.model_usage_since_last_result));
  }
  return difference(before, totalsOf(result));
}

/** What lies between two totals. One that has fallen was set back to zero in between, as `/clear` does it. */
function difference(before: Spending, after: Spending): Spending {
  const reset = after.costUsd < before.costUsd || after.usage.outputTokens < before.usage.outputTokens;
  const from = reset ? NOTHING_SPENT : before;
  const between = (name: keyof Usage): number => Math.max(0, after.usage[name] - from.usage[name]);
  return {
    // The totals are sums of floating-point numbers; a millionth of a cent is below any price.
    costUsd: Math.round((after.costUsd - from.costUsd) * 1e8) / 1e8,
    usage: {
      inputTokens: between("inputTokens"),
      outputTokens: between("outputTokens"),
      cacheReadInputTokens: between("cacheReadInputTokens"),
      cacheCreationInputTokens: between("cacheCreationInputTokens"),
    },
  };
}

type Counted = Pick<ModelUsage, "costUSD" | keyof Usage>;

function sum(models: readonly Counted[]): Spending {
  const total = (name: keyof Counted): number => models.reduce((soFar, usage) => soFar + usage[name], 0);
  return {
    costUsd: total("costUSD"),
    usage: {
      inputTokens: total("inputTokens"),
      outputTokens: total("outputTokens"),
      cacheReadInputTokens: total("cacheReadInputTokens"),
      cacheCreationInputTokens: total("cacheCreationInputTokens"),
    },
  };
}

function isUsageByModel(value: unknown): value is Record<string, Counted> {
  return typeof value === "object" && value !== null && Object.values(value).every(isCounted);
}

function isCounted(value: unknown): value is Counted {
  if (typeof value !== "object" || value === null) return false;
  const fields: Partial<Record<string, unknown>> = { ...value };
  return ["costUSD", ...Object.keys(NOTHING_SPENT.usage)].every((name) => typeof fields[name] === "number");
}
