import type { RefusedKey } from "./session-key.ts";
import type { CapacityShortage } from "./turn-errors.ts";

/** What the turns of a session need to know about its process. */
export interface ProcessOutlook {
  /** Whether the session has hibernated, or is about to. */
  readonly isHibernated: boolean;
  /** The capacity that the session lacks for a process, if it lacks any. */
  readonly shortage: CapacityShortage | undefined;
  /** A digest of the account that pays for the turns. Empty if no limit applies per account. */
  readonly account: string;
  /** The process's API key, and whether a different one is available if the API refuses it. */
  readonly key: { readonly refusal: RefusedKey };
}
