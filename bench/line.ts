import type { Score } from "./rounds.ts";
import type { Spread } from "./spread.ts";

/** What is measured, by itself or with others. */
export interface Line {
  /** For `--only`. */
  readonly name: string;
  /** How many rounds there are, unless it is said otherwise. */
  readonly rounds: number;
  measure(settings: LineSettings): Promise<Row[]>;
}

export interface LineSettings {
  readonly rounds: number;
  /** For the files of journals. */
  readonly directory: string;
}

/** What came out, as one row of the table. */
export interface Row {
  readonly what: string;
  /** What the processes were. */
  readonly on: string;
  readonly unit: string;
  /** What the bare SDK did, where there is something to compare. */
  readonly bare?: Spread;
  readonly castellan?: Spread;
  /** Castellan's figure to that of the bare SDK in the same round. */
  readonly ratio?: Spread;
  /** What the ratio may be; without one, what Castellan's figure may be. */
  readonly budget?: Budget;
}

export type Budget = { readonly atLeast: number } | { readonly atMost: number };

/** The row of two that competed. */
export function rowOf(
  what: string,
  on: string,
  unit: string,
  [bare, castellan]: readonly Score[],
  budget?: Budget,
): Row {
  if (bare === undefined || castellan === undefined) throw new Error(`${what}: two have to compete`);
  const figures = { bare: bare.figure, castellan: castellan.figure, ratio: castellan.ratio };
  return { what, on, unit, ...figures, ...(budget === undefined ? {} : { budget }) };
}

/** Whether the median is within the budget; `undefined` if there is none. */
export function isMet({ castellan, ratio, budget }: Row): boolean | undefined {
  const figure = (ratio ?? castellan)?.median;
  if (budget === undefined || figure === undefined) return undefined;
  return "atLeast" in budget ? figure >= budget.atLeast : figure <= budget.atMost;
}
