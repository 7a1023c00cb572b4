import Table from "cli-table3";
import { isMet, type Row } from "./line.ts";
import type { Spread } from "./spread.ts";

/** Formats the rows as a table: medians, with the interquartile range in parentheses. */
export function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ["", "processes", "", "bare SDK", "Castellan", "p99", "ratio", "budget", "met"],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const { what, on, unit, bare, castellan, p99, ratio, budget } = row;
    const limit = budget === undefined ? "" : "atLeast" in budget ? `≥ ${budget.atLeast}` : `≤ ${budget.atMost}`;
    const met = isMet(row);
    const verdict = met === undefined ? "" : met ? "yes" : "no";
    table.push([what, on, unit, cell(bare), cell(castellan), p99?.toFixed(0) ?? "", cell(ratio, 2), limit, verdict]);
  }
  return table.toString();
}

function cell(spread: Spread | undefined, digits?: number): string {
  if (spread === undefined) return "";
  const places = digits ?? (spread.median < 10 ? 2 : spread.median < 100 ? 1 : 0);
  const [median, low, high] = [spread.median, spread.low, spread.high].map((figure) => figure.toFixed(places));
  return `${median} (${low}..${high})`;
}
