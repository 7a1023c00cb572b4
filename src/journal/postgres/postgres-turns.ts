import { PAGE_BYTES } from "../model/event-entry.ts";
import { toText } from "../model/stored-text.ts";
import { isOfUnfinished, type TurnQuery, turnLimitOf } from "../model/turn-entry.ts";
import { TURN_COLUMNS } from "./postgres-rows.ts";

/** Returns the query for a page of turns. */
export function turnsStatement(query: TurnQuery): { readonly text: string; readonly values: readonly unknown[] } {
  const { session, states, before } = query;
  // With one session the index has the order.
  const isOfSession = typeof session === "string" ? "session = $1" : "session = any($1)";
  const text = `
    select ${TURN_COLUMNS} from turns where ${isOfSession} and seq in (select seq from (
      select seq, size, sum(size) over (order by seq desc rows unbounded preceding) as total from (
        select seq, octet_length(prompt) + coalesce(pg_column_size(outcome), 0) as size from turns
        where ${isOfSession}
          and ($2::text is null or seq < (select seq from turns where id = $2 and ${isOfSession}))
          and ($3::text[] is null or state = any($3)) ${isOfUnfinished(query) ? "and ended_at is null" : ""}
        order by seq desc limit $4) as found) as sized
      where total <= ${PAGE_BYTES} or total = size)
    order by seq desc`;
  return {
    text,
    values: [
      typeof session === "string" ? toText(session) : session.map(toText),
      before === undefined ? null : toText(before),
      states ?? null,
      turnLimitOf(query),
    ],
  };
}
