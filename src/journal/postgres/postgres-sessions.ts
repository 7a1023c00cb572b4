import { type SessionListQuery, sessionLimitOf } from "../model/session-list.ts";
import { toText } from "../model/stored-text.ts";
import { SESSION_COLUMNS } from "./postgres-rows.ts";

/**
 * Returns the query for a page of sessions.
 *
 * @param condition another condition, on the column with the key
 */
export function sessionsStatement(
  query: SessionListQuery,
  condition?: (key: string) => string,
): { readonly text: string; readonly values: unknown[] } {
  const { supervisor, archived, labels = {}, range, after } = query;
  const values: unknown[] = [];
  const parameter = (value: string | number): string =>
    `$${values.push(typeof value === "string" ? toText(value) : value)}`;
  const [first, ...others] = Object.entries(labels);
  // The table that is read in order.
  const key = first === undefined ? "sessions.key" : "first.key";
  const [from, to] = range;
  const conditions = [
    `${key} >= ${parameter(from)}`,
    `${key} <= ${parameter(to)}`,
    `archived_at is ${archived ? "not null" : "null"}`,
  ];
  if (after !== undefined) conditions.push(`${key} > ${parameter(after)}`);
  if (supervisor !== undefined) conditions.push(`supervisor = ${parameter(supervisor)}`);
  if (first !== undefined)
    conditions.push(`first.label = ${parameter(first[0])}`, `first.value = ${parameter(first[1])}`);
  for (const [label, value] of others) {
    conditions.push(`exists (select from session_labels as other
      where other.label = ${parameter(label)} and other.value = ${parameter(value)} and other.key = first.key)`);
  }
  if (condition !== undefined) conditions.push(condition(key));
  // Reads the sessions of a label one by one until the page is full. A plain join may be planned to read all of them.
  const tables =
    first === undefined
      ? "sessions"
      : `session_labels as first cross join lateral (
          select ${SESSION_COLUMNS} from sessions where sessions.key = first.key offset 0) as sessions`;
  const text = `select ${SESSION_COLUMNS} from ${tables} where ${conditions.join(" and ")}
    order by ${key} limit ${parameter(sessionLimitOf(query))}`;
  return { text, values };
}
