import type { Clock } from "../../clock.ts";
import { CastellanError, type ErrorDetails } from "../../errors.ts";
import type { Spending } from "../../journal/model/spending.ts";
import { dayOf, nextDayAt, type UsageEntry } from "../../journal/model/usage-entry.ts";
import { SparseMap } from "../../sparse-map.ts";

/** A spending limit. Once it is reached, accepted turns finish and new turns are refused. */
export interface Budget {
  /** US dollars, as Claude Code estimates them. */
  readonly usd: number;
  /** Whether the limit applies to each day (UTC) or to all time. Default `"ever"`. */
  readonly per?: "day" | "ever";
}

/** A budget and how much of it is spent. */
export interface BudgetStatus {
  readonly limitUsd: number;
  readonly per: "day" | "ever";
  /** Spent today, or in total, depending on `per`. */
  readonly spentUsd: number;
  /** When a budget per day is whole again, in milliseconds since the epoch: at midnight, UTC. */
  readonly resetsAt?: number;
}

/** How many days to keep. More than one, for a clock that ran ahead and is set back. */
const MOST_DAYS = 31;

/** Adds up spending and checks it against a budget. */
export class BudgetMeter {
  readonly #clock: Clock;
  #ever = 0;
  /** What was added while the spending is being read again. */
  #late: (readonly [day: string, usd: number])[] | undefined;
  /** Spending by day. */
  readonly #days = new SparseMap<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Replaces all recorded spending with `entries`, which give it by day. */
  load(entries: readonly UsageEntry[]): void {
    this.#ever = 0;
    this.#days.clear();
    const inOrder = entries.toSorted(({ day: one = "" }, { day: other = "" }) => (one < other ? -1 : 1));
    for (const { day = "", costUsd } of inOrder) this.#add(day, costUsd);
  }

  add(spendings: readonly Spending[]): void {
    const day = dayOf(this.#clock.now());
    for (const { costUsd } of spendings) {
      this.#add(day, costUsd);
      this.#late?.push([day, costUsd]);
    }
  }

  /**
   * Replaces the recorded spending of a day, and of all later ones, with what `read` returns, by day. What is added meanwhile counts
   * in any case.
   */
  async reread(since: string, read: () => Promise<readonly UsageEntry[]>): Promise<void> {
    const late: (readonly [day: string, usd: number])[] = [];
    this.#late = late;
    try {
      const entries = await read();
      for (const [day, usd] of [...this.#days]) if (day >= since) this.#add(day, -usd);
      for (const { day = "", costUsd } of entries) this.#add(day, costUsd);
      for (const [day, usd] of late) this.#add(day, usd);
    } finally {
      if (this.#late === late) this.#late = undefined;
    }
  }

  /** Returns how much of `budget` is spent. */
  status({ usd: limitUsd, per = "ever" }: Budget): BudgetStatus {
    const today = this.#days.get(dayOf(this.#clock.now())) ?? 0;
    if (per === "ever") return { limitUsd, per, spentUsd: this.#ever };
    return { limitUsd, per, spentUsd: today, resetsAt: nextDayAt(this.#clock.now()) };
  }

  /** Returns the error for a budget that is used up, or undefined. `whose` names its owner in the message. */
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
