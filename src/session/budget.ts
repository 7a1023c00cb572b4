import type { Clock } from "../clock.ts";
import { CastellanError, type ErrorDetails } from "../errors.ts";
import type { Spending } from "../journal/spending.ts";
import { dayOf, type UsageEntry } from "../journal/usage-entry.ts";

/** How much may be spent. What has been accepted is finished; then no new turns are taken. */
export interface Budget {
  /** US dollars, as Claude Code estimates them. */
  readonly usd: number;
  /** Whether they are for each day, in UTC, or for ever. Default `"ever"`. */
  readonly per?: "day" | "ever";
}

/** A budget at a moment. */
export interface BudgetStatus {
  readonly limitUsd: number;
  readonly per: "day" | "ever";
  /** Today, or in all. */
  readonly spentUsd: number;
}

/** Counts what is spent of a budget. */
export class BudgetMeter {
  readonly #clock: Clock;
  #ever = 0;
  #today = { day: "", usd: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins with what was spent so far; `entries` tell it by day. */
  load(entries: readonly UsageEntry[]): void {
    this.#ever = 0;
    this.#today = { day: "", usd: 0 };
    for (const { day = "", costUsd } of entries) this.#add(day, costUsd);
  }

  add(spendings: readonly Spending[]): void {
    const day = dayOf(this.#clock.now());
    for (const { costUsd } of spendings) this.#add(day, costUsd);
  }

  /** How much of `budget` has been spent. */
  status({ usd: limitUsd, per = "ever" }: Budget): BudgetStatus {
    const today = this.#today.day === dayOf(this.#clock.now()) ? this.#today.usd : 0;
    return { limitUsd, per, spentUsd: per === "ever" ? this.#ever : today };
  }

  /** Why nothing more may be spent of `budget`, if that is so. `whose` is who has it, for the message. */
  refusal(
    budget: Budget | undefined,
    scope: ErrorDetails["BUDGET_EXCEEDED"]["scope"],
    whose: string,
  ): CastellanError<"BUDGET_EXCEEDED"> | undefined {
    if (budget === undefined) return undefined;
    const { limitUsd, spentUsd, per } = this.status(budget);
    if (spentUsd < limitUsd) return undefined;
    const when = per === "day" ? "today; it takes turns again tomorrow (UTC)" : "in all; raise its `budget` to go on";
    const message = `${whose} has a budget of $${limitUsd} and has spent $${spentUsd.toFixed(4)} ${when}.`;
    return new CastellanError("BUDGET_EXCEEDED", message, { details: { scope, limitUsd, spentUsd } });
  }

  #add(day: string, usd: number): void {
    this.#ever += usd;
    if (day > this.#today.day) this.#today = { day, usd: 0 };
    if (day === this.#today.day) this.#today.usd += usd;
  }
}
