import type { ModelUsage, SDKResultMessage } from "@anthropic-ai/claude-agent-sdk";
import { type ModelSpending, NOTHING_SPENT, type Spending, type Usage } from "../../journal/model/spending.ts";

/** The running totals of a process, by model. */
export type Totals = Readonly<Record<string, Spending>>;

type Result = Pick<SDKResultMessage, "modelUsage">;

/** Returns the running totals in a result. */
export function totalsOf(result: Result): Totals {
  return mapValues(result.modelUsage, spendingOf);
}

/**
 * Returns what the turn of this result cost, by model; `before` are the totals of the previous result.
 *
 * The totals are the process's own account. A resumed process continues from the transcript, which lacks everything
 * after the last orderly end, so after a crash the difference is wrong. Claude Code 2.1 also reports the spending since
 * its last result, in a field that the SDK's types omit. That is always right and is preferred.
 */
export function spentBy(result: Result, before: Totals): ModelSpending[] {
  if ("model_usage_since_last_result" in result && isUsageByModel(result.model_usage_since_last_result)) {
    return modelsOf(mapValues(result.model_usage_since_last_result, spendingOf));
  }
  return modelsOf(difference(before, totalsOf(result)));
}

/**
 * Returns the difference between two totals. If one has fallen, all were reset to zero in between, as `/clear` does.
 */
function difference(before: Totals, after: Totals): Totals {
  const fell = ([model, { costUsd, usage }]: [string, Spending]): boolean => {
    const now = after[model];
    return now === undefined || now.costUsd < costUsd || now.usage.outputTokens < usage.outputTokens;
  };
  const from = Object.entries(before).some(fell) ? {} : before;
  return mapValues(after, (now, model) => between(from[model] ?? NOTHING_SPENT, now));
}

function between(before: Spending, after: Spending): Spending {
  const more = (name: keyof Usage): number => Math.max(0, after.usage[name] - before.usage[name]);
  return {
    // Totals are sums of floating-point numbers; a millionth of a cent is below any price.
    costUsd: Math.round((after.costUsd - before.costUsd) * 1e8) / 1e8,
    usage: {
      inputTokens: more("inputTokens"),
      outputTokens: more("outputTokens"),
      cacheReadInputTokens: more("cacheReadInputTokens"),
      cacheCreationInputTokens: more("cacheCreationInputTokens"),
    },
  };
}

/** Returns the models with any spending. */
function modelsOf(totals: Totals): ModelSpending[] {
  return Object.entries(totals).flatMap(([model, spending]) => {
    const spent = [spending.costUsd, ...Object.values(spending.usage)].some((figure) => figure > 0);
    return spent ? [{ model, ...spending }] : [];
  });
}

type Counted = Pick<ModelUsage, "costUSD" | keyof Usage>;

function spendingOf(counted: Counted): Spending {
  const { costUSD: costUsd, inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } = counted;
  return { costUsd, usage: { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens } };
}

function mapValues<From, To>(
  record: Readonly<Record<string, From>>,
  map: (value: From, name: string) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]));
}

function isUsageByModel(value: unknown): value is Record<string, Counted> {
  return typeof value === "object" && value !== null && Object.values(value).every(isCounted);
}

function isCounted(value: unknown): value is Counted {
  if (typeof value !== "object" || value === null) return false;
  const fields: Partial<Record<string, unknown>> = { ...value };
  return ["costUSD", ...Object.keys(NOTHING_SPENT.usage)].every((name) => typeof fields[name] === "number");
}
