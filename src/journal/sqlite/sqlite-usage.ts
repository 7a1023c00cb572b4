import { toText } from "../model/stored-text.ts";
import type { UsageDimension, UsageQuery } from "../model/usage-entry.ts";
import { checksumIn } from "./sqlite-checksum.ts";

/** Columns of the same names. */
export const DIMENSIONS: readonly UsageDimension[] = ["supervisor", "session", "model", "day"];

/** A question and what is put in the places of its question marks. */
interface Question {
  readonly sql: string;
  readonly parameters: readonly string[];
}

/** What was spent, as a question to the file. */
export function usageQuestion({ supervisor, session, since, until, by }: UsageQuery): Question {
  const asked = DIMENSIONS.filter((dimension) => by.includes(dimension));
  const conditions = Object.entries({
    "supervisor = ?": supervisor,
    "session = ?": session,
    "day >= ?": since,
    "day <= ?": until,
  }).flatMap(([sql, value]) => (value === undefined ? [] : [{ sql, value: toText(value) }]));
  const columns = [
    ...asked,
    "sum(cost_usd) AS cost_usd",
    "sum(input_tokens) AS input_tokens",
    "sum(output_tokens) AS output_tokens",
    "sum(cache_read_input_tokens) AS cache_read_input_tokens",
    "sum(cache_creation_input_tokens) AS cache_creation_input_tokens",
    `sum(checksum IS NOT ${checksumIn("spending")}) AS garbled`,
  ];
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.map(({ sql }) => sql).join(" AND ")}`;
  const group = asked.length === 0 ? "" : `GROUP BY ${asked.join(", ")}`;
  // Without a group there would be a row also for nothing.
  const sql = `SELECT ${columns.join(", ")} FROM spending ${where} ${group} HAVING count(*) > 0`;
  return { sql, parameters: conditions.map(({ value }) => value) };
}
