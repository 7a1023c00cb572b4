/*
 * A database that fails over to a replica, or is put back to a backup, has another history from then on. Whoever notices that begins
 * a new era: nobody can claim anything before each node that may live has told what it knows, or has had the time to.
 */

/** Those who may live, as far as the database knows. */
const MAY_LIVE = "nodes.ended_at is null and nodes.renewed_at > clock_timestamp() - interval '1 hour'";

/** How long a node may take to connect again, to join, and to tell what it knows, in milliseconds. */
const COME_BACK_MS = 10_000;

/** By how much the epoch of a session rises with its first claim of an era: nobody has had as many in what the database lacks. */
export const EPOCHS_OF_AN_ERA = 1_000;

/**
 * Begins a new era if the database has another history than the one that is known of.
 *
 * @param history an expression that tells its history, see `historyExpression`
 */
export function noticeHistory(history: string): string {
  return `
    with found as materialized (
      select ${history} as identity
    )
    update history set identity = found.identity, era = history.era + (history.identity is not null)::integer,
      claims_from = case when history.identity is null then history.claims_from else ${endOfSilence()} end
    from found where found.identity is not null and history.identity is distinct from found.identity`;
}

/** Begins a new era after the one of the parameter, if that has not been done: what the database lacks shows that it has another history. */
export const BEGIN_ERA: string = `
  update history set era = era + 1, claims_from = ${endOfSilence()} where era = $1`;

/** Whether sessions may be claimed. */
export const MAY_CLAIM = "exists (select from history where claims_from <= clock_timestamp())";

export const ERA = "(select era::double precision from history)";

/** Ends the wait once all have told what they know. To be sent when one has. */
export const END_WAIT: string = `
  update history set claims_from = clock_timestamp()
  where claims_from > clock_timestamp() and not exists (select from nodes where ${MAY_LIVE} and nodes.era < history.era)`;

/** A run of a node has told what it knows. Parameter: its boot. */
export const HAS_TOLD: string = "update nodes set era = (select era from history) where boot = $1";

/** When each node that lives has been heard of, or may do nothing any more, and has come back. */
function endOfSilence(): string {
  return `clock_timestamp() + interval '1 millisecond' *
    (select coalesce(max(stale_ms) + ${COME_BACK_MS}, 0) from nodes where ${MAY_LIVE})`;
}
