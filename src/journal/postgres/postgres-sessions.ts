import { type CreationOrder, type SessionListQuery, sessionLimitOf } from "../model/session-list.ts";
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
  const { supervisor, archived, labels = {}, range, after, byCreation } = query;
  const values: unknown[] = [];
  const parameter = (value: string | number): string =>
    `$${values.push(typeof value === "string" ? toText(value) : value)}`;
  const [first, ...others] = Object.entries(labels);
  // The table that is read in order.
  const key = first === undefined ? "sessions.key" : "first.key";
  const [from, to] = range;
  const conditions = [`${key} >= ${parameter(from)}`, `${key} <= ${parameter(to)}`];
  if (archived !== undefined) conditions.push(`archived_at is ${archived ? "not null" : "null"}`);
  if (byCreation !== undefined) conditions.push(...creationBounds(byCreation, key, parameter));
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
    order by ${orderOf(byCreation, key)} limit ${parameter(sessionLimitOf(query))}`;
  return { text, values };
}

/** The expression of the indexes by creation. */
const CREATED = "coalesce(created_at, 0)";

function creationBounds(
  { newestFirst, after, from, to }: CreationOrder,
  key: string,
  parameter: (value: string | number) => string,
): string[] {
  const conditions: string[] = [];
  if (from !== undefined) conditions.push(`${CREATED} >= ${parameter(from)}`);
  if (to !== undefined) conditions.push(`${CREATED} <= ${parameter(to)}`);
  if (after !== undefined) {
    const than = newestFirst ? "<" : ">";
    const at = parameter(after.createdAt);
    // The first condition bounds the index.
    conditions.push(
      `${CREATED} ${than}= ${at} and (${CREATED} ${than} ${at} or ${key} ${than} ${parameter(after.key)})`,
    );
  }
  return conditions;
}

function orderOf(order: CreationOrder | undefined, key: string): string {
  if (order === undefined) return key;
  const direction = order.newestFirst ? "desc" : "asc";
  return `${CREATED} ${direction}, ${key} ${direction}`;
}
