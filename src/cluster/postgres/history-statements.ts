/*
 * A database that fails over to a replica, or is restored from a backup, starts a new history. The first node that
 * notices begins a new era, in which claims wait until each possibly live node has replayed its writes, or has had the
 * time to. Two histories that start at one state have different eras, because an era is at least the time at which it begins.
 */

/** The next era. */
const NEXT_ERA = "greatest(history.era + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint)";

/** Nodes that may be alive, as far as the database knows. */
const MAY_LIVE = "nodes.ended_at is null and nodes.renewed_at > clock_timestamp() - interval '1 hour'";

/** How long a node may take to reconnect, join and replay its writes, in milliseconds. */
const COME_BACK_MS = 10_000;

/** The lease of a node that the database does not know, if it knows no other node, in milliseconds: that of the default `staleAfter`. */
const UNKNOWN_LEASE_MS = 5_000;

/** Step of a session's epoch at its first claim in an era: more than the claims that the database can have lost. */
export const EPOCHS_OF_AN_ERA = 1_000;

/**
 * Begins a new era if the history of the database has changed.
 *
 * @param history a SQL expression for the history, see `historyExpression`
 */
export function detectNewHistory(history: string): string {
  return `
    with found as materialized (
      select ${history} as identity
    )
    update history set identity = found.identity, era = case when history.identity is null then history.era else ${NEXT_ERA} end,
      claims_from = case when history.identity is null then history.claims_from else ${claimsAllowedFrom()} end,
      claims_not_before = case when history.identity is null then history.claims_not_before else ${unknownUntil()} end
    from found where found.identity is not null and history.identity is distinct from found.identity`;
}

/** Begins the era after the given one, unless it has begun: missing batches prove a new history. Parameter: the era. */
export const BEGIN_ERA: string = `
  update history set era = ${NEXT_ERA}, claims_from = ${claimsAllowedFrom()}, claims_not_before = ${unknownUntil()} where era = $1`;

/** Whether claims are allowed. */
export const MAY_CLAIM = "exists (select from history where claims_from <= clock_timestamp())";

export const ERA = "(select era::double precision from history)";

/**
 * Allows claims once all nodes have replayed their writes, and no node can act any more of which the database has lost that it
 * joined. Send it after each node has replayed.
 */
export const END_WAIT: string = `
  update history set claims_from = greatest(clock_timestamp(), claims_not_before)
  where claims_from > greatest(clock_timestamp(), claims_not_before) and not exists (select from nodes where ${MAY_LIVE} and nodes.era < history.era)`;

/** Records that a run has replayed its writes. Parameters: its boot id, and the era in which it did. */
export const HAS_REPLAYED: string = "update nodes set era = $2 where boot = $1";

/** Records that a run has nothing to replay. Parameter: its boot id. */
export const HAS_NOTHING_TO_REPLAY: string = "update nodes set era = (select era from history) where boot = $1";

/** Returns when each live node has renewed and rejoined, or may not act any more. */
function claimsAllowedFrom(): string {
  return `greatest(${unknownUntil()}, clock_timestamp() + interval '1 millisecond' *
    (select coalesce(max(stale_ms) + ${COME_BACK_MS}, 0) from nodes where ${MAY_LIVE}))`;
}

/** Returns when the lease of each node is over that joined within what the database has lost, and has not renewed it since. */
function unknownUntil(): string {
  return `clock_timestamp() + interval '1 millisecond' * (select coalesce(max(stale_ms), ${UNKNOWN_LEASE_MS}) from nodes)`;
}
