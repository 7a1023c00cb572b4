import { isDay, LENGTHS, type PeriodChoice, periodBetween } from "./period.ts";

/** What the table has a row for. */
export const GROUPINGS = ["day", "model", "label", "session"] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** The columns that order the table. */
export const COLUMNS = ["name", "cost", "turns", "input", "output", "read", "written"] as const;
export type Column = (typeof COLUMNS)[number];

/** What the page of costs shows, as in its address. */
export interface CostsView {
  readonly period: PeriodChoice;
  readonly by: Grouping;
  /** The label whose values are compared; empty for none. */
  readonly label: string;
  readonly order: Column;
  readonly descending: boolean;
}

/** Reads a view from the query of an address. Ignores what it does not know. */
export function costsViewOf(query: URLSearchParams): CostsView {
  const by = GROUPINGS.find((known) => known === query.get("by")) ?? "day";
  const asked = query.get("order") ?? "";
  const order = COLUMNS.find((known) => known === asked.replace("-", ""));
  return {
    period: choiceOf(query),
    by,
    label: by === "label" ? (query.get("label") ?? "") : "",
    order: order ?? usualOrder(by),
    descending: order === undefined || asked.startsWith("-"),
  };
}

/** Returns the query of a view, without what is as usual. */
export function costsQueryOf({ period, by, label, order, descending }: CostsView): string {
  const query = new URLSearchParams();
  if (typeof period !== "number") {
    query.set("from", period.from);
    query.set("to", period.to);
  } else if (period !== 30) query.set("days", String(period));
  if (by !== "day") query.set("by", by);
  if (by === "label" && label !== "") query.set("label", label);
  if (order !== usualOrder(by) || !descending) query.set("order", `${descending ? "-" : ""}${order}`);
  return query.size === 0 ? "" : `?${query}`;
}

/** Returns the view after a click on the head of a column. */
export function orderedBy(view: CostsView, order: Column): CostsView {
  if (order === view.order) return { ...view, descending: !view.descending };
  return { ...view, order, descending: order !== "name" };
}

/** The newest day first, and otherwise what cost most. */
function usualOrder(by: Grouping): Column {
  return by === "day" ? "name" : "cost";
}

function choiceOf(query: URLSearchParams): PeriodChoice {
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  if (isDay(from) && isDay(to)) return periodBetween(from, to);
  return LENGTHS.find((days) => String(days) === query.get("days")) ?? 30;
}
