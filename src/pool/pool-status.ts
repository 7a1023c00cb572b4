import type { SessionName } from "../names.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { MemberUse } from "./member.ts";

/** The state of a pool at one moment. */
export interface PoolStatus {
  readonly name: string;
  /** The number of members that take turns, and its minimum and maximum. */
  readonly size: number;
  readonly min: number;
  readonly max: number;
  /** The number of lent members, including those lent for a single turn. */
  readonly lent: number;
  /** The number of free members without a turn. */
  readonly idle: number;
  /** The number of callers that wait for a member. */
  readonly waiting: number;
  /** The number of jobs that wait for a member, including delayed ones. */
  readonly jobs: number;
  /** Why the pool has fewer usable members than it should, in words; absent if it has enough. */
  readonly shortfall?: string;
  /** When the pool restarts the next quarantined member, in milliseconds since the epoch; absent if none is scheduled. */
  readonly retryAt?: number;
  /** All members, including quarantined ones, each with its session's state and its use. */
  readonly members: readonly {
    readonly name: SessionName;
    readonly state: SessionStatus["state"];
    readonly use: MemberUse;
  }[];
}
