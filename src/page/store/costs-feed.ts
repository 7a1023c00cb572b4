import { batch, type Signal, signal } from "@preact/signals";
import { CastellanApiError, type CastellanClient } from "../../client/index.ts";
import type { BudgetReport } from "../../wire/budget.ts";
import type { UsageQuery, UsageReport } from "../../wire/usage.ts";
import type { CostsView } from "./costs-view.ts";
import { daysOf, lengthOf, type Period, periodBefore, periodOf } from "./period.ts";
import { readUsage } from "./usage.ts";

/** The costs of a period. */
export interface Costs {
  readonly view: CostsView;
  readonly period: Period;
  /** By day and model, label or session; only by day if there are too many of those. */
  readonly daily: readonly UsageReport[];
  /** By model, label or session, or by day. */
  readonly reports: readonly UsageReport[];
  /** Whether `daily` has the dimension. */
  readonly stacked: boolean;
  /** Of the period directly before. */
  readonly before: readonly UsageReport[];
}

/** Where costs are read. */
interface CostsSource {
  readonly client: Pick<CastellanClient, "usage" | "budgets">;
}

/** The most reports of one answer. */
const MOST_REPORTS = 20_000;

/** Turns that end close to each other are read together. */
const PAUSE_MS = 1_000;
/** Costs that take long to read are read less often: reading takes at most this part of the time. */
const SHARE = 0.25;
/** The pause after an error of the server. */
const RETRY_MS = 5_000;

/** Reads what a view of the costs shows, again whenever something has been spent. */
export class CostsFeed {
  readonly costs: Signal<Costs | undefined> = signal<Costs | undefined>(undefined);
  readonly budgets: Signal<readonly BudgetReport[]> = signal<readonly BudgetReport[]>([]);
  readonly state: Signal<"loading" | "ready" | "refused" | "failed"> = signal<
    "loading" | "ready" | "refused" | "failed"
  >("loading");
  readonly failure: Signal<string> = signal("");
  readonly #link: CostsSource;
  #run = new AbortController();
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** What to read after the answer that is awaited. */
  #next: (() => void) | undefined;
  #isReading = false;
  #tookMs = 0;

  constructor(link: CostsSource) {
    this.#link = link;
  }

  /** Reads a view at once. An answer to an earlier one is dropped. */
  show(view: CostsView, global: boolean): void {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    this.#isReading = true;
    const since = performance.now();
    this.#read(view, global, run.signal)
      .catch((error: unknown) => {
        if (!run.signal.aborted && this.#isTransient(error)) {
          this.#pause = setTimeout(() => this.show(view, global), RETRY_MS);
        }
      })
      .finally(() => {
        if (run.signal.aborted) return;
        this.#isReading = false;
        this.#tookMs = performance.now() - since;
        if (this.#next !== undefined) this.#schedule(this.#next);
      });
  }

  /** Shows that the server would refuse to tell. */
  refuse(): void {
    this.state.value = "refused";
  }

  /** Reads a view soon, unless that is due anyway; after the answer that is awaited, which would otherwise never come on a busy server. */
  showSoon(view: CostsView, global: boolean): void {
    const next = (): void => this.show(view, global);
    if (this.#isReading) this.#next = next;
    else this.#schedule(next);
  }

  #schedule(next: () => void): void {
    this.#pause ??= setTimeout(next, Math.max(PAUSE_MS, this.#tookMs / SHARE));
  }

  /** Drops what is being read. */
  stop(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#next = undefined;
    this.#isReading = false;
    this.#run.abort();
  }

  async #read(view: CostsView, global: boolean, ends: AbortSignal): Promise<void> {
    const period = periodOf(view.period, Date.now());
    const { client } = this.#link;
    const ask = async (query: UsageQuery): Promise<readonly UsageReport[]> => {
      return await readUsage(client, query, global, ends);
    };
    const within = ({ from, to }: Period): UsageQuery => ({ since: from, until: to });
    const [reports, before, budgets] = await Promise.all([
      ask({ ...within(period), ...dimensionOf(view, ["day", "model"]) }),
      ask(within(periodBefore(period))),
      client.budgets({ signal: ends }),
    ]);
    const own = view.by === "day";
    const stacked = own || reports.length * lengthOf(period) <= MOST_REPORTS;
    const daily = own ? reports : await ask({ ...within(period), ...dimensionOf(view, [], stacked) });
    batch(() => {
      this.costs.value = { view, period, daily, reports, stacked, before };
      this.budgets.value = budgets;
      this.state.value = "ready";
    });
  }

  /** Shows an error, and returns whether another try may help. A lost connection, or login, has states of its own. */
  #isTransient(error: unknown): boolean {
    if (!(error instanceof CastellanApiError) || error.status === 401 || error.status === 0) return false;
    this.state.value = error.status === 403 ? "refused" : "failed";
    this.failure.value = error.message;
    return error.status >= 500;
  }
}

/** Returns by what to ask. @param day the dimensions of a view by day */
function dimensionOf(
  { by, label }: CostsView,
  day: readonly ("day" | "model")[],
  stacked?: boolean,
): Pick<UsageQuery, "by" | "label"> {
  if (by === "day") return { by: day };
  const days = stacked === undefined ? [] : (["day"] as const);
  if (stacked === false) return { by: days };
  if (by === "label") return { by: days, ...(label !== "" && { label }) };
  return { by: [...days, by] };
}

/** Returns the days of the costs, the first one first. */
export function daysIn({ period }: Costs): string[] {
  return daysOf(period);
}
