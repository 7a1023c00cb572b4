import type { FoundState } from "../../wire/session.ts";
import { type FleetRow, STATES } from "./fleet-row.ts";

/** The orders of the list. */
export const ORDERS = ["attention", "name", "activity", "memory", "restarts"] as const;

/** An order of the list. */
export type Order = (typeof ORDERS)[number];

/** Which sessions the list shows, and in which order. */
export interface FleetView {
  /** Words that name, title and labels must contain. */
  readonly text: string;
  /** Empty for all. */
  readonly states: readonly FoundState[];
  /** As `name=value`. */
  readonly labels: readonly string[];
  readonly order: Order;
}

/** Reads a view from the query of an address. Ignores what it does not know. */
export function viewOf(query: URLSearchParams): FleetView {
  const order = query.get("order");
  return {
    text: query.get("q") ?? "",
    states: STATES.filter((state) => query.getAll("state").includes(state)),
    labels: [...new Set(query.getAll("label").filter((label) => label.includes("=")))],
    order: ORDERS.find((known) => known === order) ?? "attention",
  };
}

/** Returns the query of a view, without what is as usual: `?q=blue&state=busy`, or an empty text. */
export function queryOf({ text, states, labels, order }: FleetView): string {
  const query = new URLSearchParams();
  if (text !== "") query.set("q", text);
  for (const state of states) query.append("state", state);
  for (const label of labels) query.append("label", label);
  if (order !== "attention") query.set("order", order);
  return query.size === 0 ? "" : `?${query}`;
}

/** Returns the rows that match text and labels, whatever their state. */
export function matching(rows: Iterable<FleetRow>, { text, labels }: FleetView): FleetRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = labels.map((label): [string, string] => {
    const at = label.indexOf("=");
    return [label.slice(0, at), label.slice(at + 1)];
  });
  const found: FleetRow[] = [];
  for (const row of rows) {
    if (!words.every((word) => row.searched.includes(word))) continue;
    if (wanted.every(([name, value]) => row.info.labels?.[name] === value)) found.push(row);
  }
  return found;
}

/** Returns the rows of the view's states in the view's order. */
export function arranged(rows: readonly FleetRow[], { states, order }: FleetView): FleetRow[] {
  const shown = states.length === 0 ? [...rows] : rows.filter(({ info }) => states.includes(info.state));
  const compare = COMPARE[order];
  return shown.sort((one, other) => compare(one, other) || byName(one, other));
}

/** Returns the number of rows by state. */
export function countsOf(rows: readonly FleetRow[]): ReadonlyMap<FoundState, number> {
  const counts = new Map<FoundState, number>();
  for (const { info } of rows) counts.set(info.state, (counts.get(info.state) ?? 0) + 1);
  return new Map(STATES.flatMap((state) => (counts.has(state) ? [[state, counts.get(state) ?? 0]] : [])));
}

const RANK = new Map(STATES.map((state, index) => [state, index]));

const byName = (one: FleetRow, other: FleetRow): number =>
  one.sorted < other.sorted ? -1 : one.sorted > other.sorted ? 1 : one.key < other.key ? -1 : 1;

const COMPARE: Readonly<Record<Order, (one: FleetRow, other: FleetRow) => number>> = {
  attention: (one, other) => (RANK.get(one.info.state) ?? 0) - (RANK.get(other.info.state) ?? 0),
  name: () => 0,
  activity: (one, other) => activityOf(other) - activityOf(one),
  memory: (one, other) => (other.info.status?.memoryBytes ?? 0) - (one.info.status?.memoryBytes ?? 0),
  restarts: (one, other) => (other.info.status?.restarts ?? 0) - (one.info.status?.restarts ?? 0),
};

/** Returns when the session last showed life, in milliseconds since the epoch; 0 if that is unknown. */
export function activityOf({ info: { status } }: Pick<FleetRow, "info">): number {
  return status?.lastSignOfLife ?? status?.startedAt ?? 0;
}
