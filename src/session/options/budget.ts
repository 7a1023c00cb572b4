import type { Clock } from "../../clock.ts";
import { CastellanError, type ErrorDetails } from "../../errors.ts";
import type { Spending } from "../../journal/model/spending.ts";
import { dayOf, type UsageEntry } from "../../journal/model/usage-entry.ts";

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

/** How many days are remembered. There is more than one for when a clock that was ahead is set back. */
const MOST_DAYS = 31;

/** Counts what is spent of a budget. */
export class BudgetMeter {
  readonly #clock: Clock;
  #ever = 0;
  /** What was spent, by day. */
  readonly #days = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins with what was spent so far; `entries` tell it by day. */
  load(entries: readonly UsageEntry[]): void {
    this.#ever = 0;
    this.#days.clear();
    const inOrder = entries.toSorted(({ day: one = "" }, { day: other = "" }) => (one < other ? -1 : 1));
    for (const { day = "", costUsd } of inOrder) this.#add(day, costUsd);
  }

  add(spendings: readonly Spending[]): void {
    const day = dayOf(this.#clock.now());
    for (const { costUsd } of spendings) this.#add(day, costUsd);
  }

  /** How much of `budget` has been spent. */
  status({ usd: limitUsd, per = "ever" }: Budget): BudgetStatus {
    const today = this.#days.get(dayOf(this.#clock.now())) ?? 0;
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
    this.#days.set(day, (this.#days.get(day) ?? 0) + usd);
    const [first] = this.#days.keys();
    if (this.#days.size > MOST_DAYS && first !== undefined) this.#days.delete(first);
  }
}
