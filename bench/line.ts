import type { Score } from "./rounds.ts";
import type { Spread } from "./spread.ts";

/** One measurement. */
export interface Line {
  /** The name for `--only`. */
  readonly name: string;
  /** The default number of rounds. */
  readonly rounds: number;
  measure(settings: LineSettings): Promise<Row[]>;
}

export interface LineSettings {
  readonly rounds: number;
  /** The folder for journal files. */
  readonly directory: string;
}

/** A result, as one row of the table. */
export interface Row {
  readonly what: string;
  /** The kind of processes. */
  readonly on: string;
  readonly unit: string;
  /** The figure of the bare SDK, if the row compares. */
  readonly bare?: Spread;
  readonly castellan?: Spread;
  /** The 99th percentile of Castellan's figures, or of the bare SDK's in a row without. */
  readonly p99?: number;
  /** The ratio of Castellan's figure to the bare SDK's in the same round. */
  readonly ratio?: Spread;
  /** The limit of the ratio, or of Castellan's figure in a row without a ratio. */
  readonly budget?: Budget;
}

export type Budget = { readonly atLeast: number } | { readonly atMost: number };

/** The row of a comparison of two. */
export function rowOf(
  what: string,
  on: string,
  unit: string,
  [bare, castellan]: readonly Score[],
  budget?: Budget,
): Row {
  if (bare === undefined || castellan === undefined) throw new Error(`${what}: needs two rivals`);
  const figures = { bare: bare.figure, castellan: castellan.figure, ratio: castellan.ratio };
  return { what, on, unit, ...figures, ...(budget === undefined ? {} : { budget }) };
}

/** Whether the median is within the budget; `undefined` without a budget. */
export function isMet({ castellan, ratio, budget }: Row): boolean | undefined {
  const figure = (ratio ?? castellan)?.median;
  if (budget === undefined || figure === undefined) return undefined;
  return "atLeast" in budget ? figure >= budget.atLeast : figure <= budget.atMost;
}
