import type { SessionName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { MemberUse } from "./member.ts";

/** A pool at a moment. */
export interface PoolStatus {
  readonly name: string;
  /** How many members take turns; and how many there are to be, at the least and at the most. */
  readonly size: number;
  readonly min: number;
  readonly max: number;
  /** How many are lent, be it for a single turn. */
  readonly lent: number;
  /** How many have nothing to do, and could be lent. */
  readonly idle: number;
  /** How many wait for a member. */
  readonly waiting: number;
  /** Why fewer members take turns than there are to be, in words, if that is so. */
  readonly shortfall?: string;
  /** When the next quarantined one begins again, in milliseconds since the epoch, if one is to. */
  readonly retryAt?: number;
  /** All members, also quarantined ones; `use` is what each does for the pool. */
  readonly members: readonly {
    readonly name: SessionName;
    readonly state: SessionStatus["state"];
    readonly use: MemberUse;
  }[];
}
