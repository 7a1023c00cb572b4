import type { UsageReport } from "../../wire/usage.ts";
import type { Column, CostsView, Grouping } from "./costs-view.ts";
import { keyOf, type Name } from "./name.ts";
import { plain, shownName } from "./shown-name.ts";

/** What was spent. */
export interface Spent {
  readonly costUsd: number;
  readonly turns: number;
  readonly input: number;
  readonly output: number;
  readonly read: number;
  readonly written: number;
}

/** A row of the table. */
export interface CostRow extends Spent {
  readonly key: string;
  readonly label: string;
  /** The session of the row, if it is one. */
  readonly session?: Name;
}

/** A part of the bars of a plot. */
export interface Series {
  readonly key: string;
  readonly label: string;
  /** US dollars, by day. */
  readonly values: readonly number[];
  readonly total: number;
}

/** The most parts of a bar beside the rest. */
const MOST_SERIES = 8;

/** Returns the total of reports. */
export function totalOf(reports: readonly UsageReport[]): Spent {
  let spent: Spent = { costUsd: 0, turns: 0, input: 0, output: 0, read: 0, written: 0 };
  for (const { costUsd, turns, usage } of reports) {
    spent = {
      costUsd: spent.costUsd + costUsd,
      turns: spent.turns + turns,
      input: spent.input + usage.inputTokens,
      output: spent.output + usage.outputTokens,
      read: spent.read + usage.cacheReadInputTokens,
      written: spent.written + usage.cacheCreationInputTokens,
    };
  }
  return spent;
}

/** Returns the rows of the table: one for each value of the dimension. */
export function rowsOf(reports: readonly UsageReport[], by: Grouping): CostRow[] {
  const groups = Map.groupBy(reports, (report) => keyIn(report, by));
  return [...groups].map(([key, group]) => {
    const [first] = group;
    const session = by === "session" ? first?.session : undefined;
    return { key, label: labelIn(first, by), ...totalOf(group), ...(session !== undefined && { session }) };
  });
}

/** Returns the rows in the order of the view. */
export function orderedRows(rows: readonly CostRow[], { order, descending, by }: CostsView): CostRow[] {
  const compare = COMPARE[order];
  const sign = descending ? -1 : 1;
  return rows.toSorted((one, other) => sign * compare(one, other) || byName(one, other) * (by === "day" ? -1 : 1));
}

/** Returns the bars by day: those of the values that cost most, then the rest. */
export function seriesOf(
  reports: readonly UsageReport[],
  by: Exclude<Grouping, "day">,
  days: readonly string[],
): Series[] {
  const position = new Map(days.map((day, index) => [day, index]));
  const found = new Map<string, { readonly label: string; readonly values: number[]; total: number }>();
  for (const report of reports) {
    const index = position.get(report.day ?? "");
    if (index === undefined) continue;
    const key = keyIn(report, by);
    let one = found.get(key);
    if (one === undefined) {
      one = { label: labelIn(report, by), values: new Array<number>(days.length).fill(0), total: 0 };
      found.set(key, one);
    }
    one.values[index] = (one.values[index] ?? 0) + report.costUsd;
    one.total += report.costUsd;
  }
  const all = [...found]
    .map(([key, one]): Series => ({ key, ...one }))
    .toSorted((one, other) => other.total - one.total);
  const rest = all.slice(MOST_SERIES);
  if (rest.length < 2) return all;
  const values = days.map((_, day) => rest.reduce((sum, { values: given }) => sum + (given[day] ?? 0), 0));
  const total = rest.reduce((sum, one) => sum + one.total, 0);
  return [...all.slice(0, MOST_SERIES), { key: "", label: `${rest.length} others`, values, total }];
}

/** Returns the change against an earlier sum: `+12%`, `no change`; undefined if there was none. */
export function changeText(now: number, before: number): string | undefined {
  if (before === 0) return undefined;
  const percent = Math.round((now / before - 1) * 100);
  if (percent === 0) return "no change";
  return percent > 999 ? `${Math.round(now / before)} times` : `${percent > 0 ? "+" : "−"}${Math.abs(percent)}%`;
}

/** Returns a part of a total: `12%`, `<1%`. */
export function shareText(part: number, total: number): string {
  if (total === 0 || part === 0) return "0%";
  const percent = (part / total) * 100;
  return percent < 1 ? "<1%" : `${Math.round(percent)}%`;
}

function keyIn(report: UsageReport, by: Grouping): string {
  if (by !== "session") return JSON.stringify(report[by] ?? null);
  return report.session === undefined ? "" : keyOf(report.session);
}

function labelIn(report: UsageReport | undefined, by: Grouping): string {
  if (by === "session") return report?.session === undefined ? "–" : shownName(report.session);
  const value = report?.[by];
  if (value !== undefined) return plain(value) || "(empty)";
  return by === "label" ? "without the label" : "–";
}

const collator = new Intl.Collator("en", { numeric: true });

const byName = (one: CostRow, other: CostRow): number => collator.compare(one.label, other.label);

const COMPARE: Readonly<Record<Column, (one: CostRow, other: CostRow) => number>> = {
  name: byName,
  cost: (one, other) => one.costUsd - other.costUsd,
  turns: (one, other) => one.turns - other.turns,
  input: (one, other) => one.input - other.input,
  output: (one, other) => one.output - other.output,
  read: (one, other) => one.read - other.read,
  written: (one, other) => one.written - other.written,
};
