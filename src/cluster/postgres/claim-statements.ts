import { EPOCHS_OF_AN_ERA, MAY_CLAIM } from "./history-statements.ts";
import { isAlive, isStale, NODE_COLUMNS, type NodeRow } from "./node-rows.ts";
import { notifyIfAny } from "./postgres-news.ts";

/*
 * A claim is a transaction of three statements, each of which sees what others have committed when it begins. From the first
 * one on nobody else can claim the session, and nothing is being written for it. The second one and the owner's renewal
 * change the same row, so that one comes after the other and finds the other's condition no longer met.
 */

/** Locks the session's row, which is made if it is not there. Parameter: the key. */
export const LOCK_SESSION: string = `
  insert into globals as known (key, epoch, era) select $1, 0, era from history
  on conflict (key) do update set owner = known.owner`;

/** Ends the owner if it has not been heard of in time. Parameters: the key, the boot that claims, the schema. */
export const END_STALE_OWNER: string = `
  with ended as (
    update nodes set ended_at = clock_timestamp()
    where boot = (select owner from globals where key = $1) and boot <> $2 and ended_at is null and ${isStale("nodes")}
      and ${MAY_CLAIM}
      and exists (select from nodes as claimant where boot = $2 and ${isAlive("claimant")} and not draining)
    returning boot
  )
  ${notifyIfAny("$3", "ended")}`;

/** Gives the session to the claimant, if it has no owner. Parameters: the key, the boot that claims. */
export const TAKE_SESSION: string = `
  update globals set owner = $2, era = history.era,
    epoch = case when epoch > 0 then epoch else coalesce((select epoch from forgotten), 0) end
      + case when owner = $2 then 0 when globals.era < history.era then ${EPOCHS_OF_AN_ERA} else 1 end
  from history
  where key = $1 and ${MAY_CLAIM}
    and exists (select from nodes where boot = $2 and ${isAlive("nodes")} and (not draining or globals.owner = $2))
    and (owner = $2 or not exists (select from nodes where boot = globals.owner and ended_at is null))
  returning epoch::double precision`;

/** Who owns the session, unless that one has ended. Parameter: the key. */
export const OWNER: string = `
  select globals.epoch::double precision, ${NODE_COLUMNS} from globals join nodes on nodes.boot = globals.owner
  where globals.key = $1 and nodes.ended_at is null`;

/** Who owns the session, if that one lives. Parameter: the key. */
export const LIVING_OWNER: string = `${OWNER} and ${isAlive("nodes")}`;

export interface OwnerRow extends NodeRow {
  readonly epoch: number;
}
