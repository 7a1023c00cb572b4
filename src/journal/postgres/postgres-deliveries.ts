import { type DeliveryEntry, type DeliveryQuery, deliveryLimitOf } from "../model/delivery-entry.ts";
import { fromText, toText } from "../model/stored-text.ts";

/** Deletes the deliveries that were written before a time. Skips rows that another transaction has locked. */
export const PRUNE_DELIVERIES = `
  with old as (select session, endpoint from deliveries where at < $1 for update skip locked)
  delete from deliveries using old where deliveries.session = old.session and deliveries.endpoint = old.endpoint`;

/** Returns the query for a page of deliveries. */
export function deliveriesStatement(query: DeliveryQuery): {
  readonly text: string;
  readonly values: readonly unknown[];
} {
  const { supervisor, sessions, after } = query;
  const text = `
    select session, endpoint, supervisor, after, at from deliveries
    where ($1::text is null or supervisor = $1) and ($2::text[] is null or session = any($2))
      and ($3::text is null or (session, endpoint) > ($3, $4))
    order by session, endpoint limit $5`;
  const values = [
    supervisor === undefined ? null : toText(supervisor),
    sessions?.map(toText) ?? null,
    after === undefined ? null : toText(after.session),
    after === undefined ? null : toText(after.endpoint),
    deliveryLimitOf(query),
  ];
  return { text, values };
}

/** Returns the entry of a row. */
export function deliveryOf({ session, endpoint, supervisor, after, at }: DeliveryEntry): DeliveryEntry {
  return { session: fromText(session), endpoint: fromText(endpoint), supervisor: fromText(supervisor), after, at };
}
