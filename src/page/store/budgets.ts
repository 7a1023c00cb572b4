import type { BudgetReport } from "../../wire/budget.ts";

/** Returns what is left of a budget, in US dollars. Turns that were accepted before may have spent more than the budget. */
export function budgetLeft({ limitUsd, spentUsd }: BudgetReport): number {
  return Math.max(0, limitUsd - spentUsd);
}

/** Returns how long it is until a time: `5 h`, `12 min`, `a moment`. */
export function untilText(at: number, now: number): string {
  const minutes = Math.ceil((at - now) / 60_000);
  if (minutes <= 0) return "a moment";
  return minutes < 60 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
