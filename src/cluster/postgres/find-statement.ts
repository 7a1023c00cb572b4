import { fromText } from "../../journal/model/stored-text.ts";
import { type SessionRow, sessionOf } from "../../journal/postgres/postgres-rows.ts";
import { sessionsStatement } from "../../journal/postgres/postgres-sessions.ts";
import { nameOfKey } from "../../names.ts";
import type { DescribedSession, EngineFindQuery } from "../protocol/engine.ts";
import { isAlive } from "./node-rows.ts";

/** A row of {@link findStatement}. */
export interface FoundRow extends SessionRow {
  readonly epoch: number | null;
  readonly boot: string | null;
}

/** Returns the query for a page of global sessions, with their owners. */
export function findStatement({ owned, ...query }: EngineFindQuery): {
  readonly text: string;
  readonly values: unknown[];
} {
  const isOwned = (key: string): string =>
    `${owned === false ? "not " : ""}exists (select from globals join nodes on nodes.boot = globals.owner
      where globals.key = ${key} and ${isAlive("nodes")})`;
  const { text, values } = sessionsStatement(query, owned === undefined ? undefined : isOwned);
  return {
    text: `with page as (${text})
      select page.*, globals.epoch::double precision, nodes.boot from page
        left join globals on globals.key = page.key
        left join nodes on nodes.boot = globals.owner and ${isAlive("nodes")}
      order by page.key`,
    values,
  };
}

export function foundOf({ epoch, boot, ...row }: FoundRow): DescribedSession {
  const { key, description = {} } = sessionOf(row);
  return {
    name: nameOfKey(key),
    description,
    epoch: epoch ?? undefined,
    boot: boot === null ? undefined : fromText(boot),
  };
}
