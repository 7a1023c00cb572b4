/**
 * How far a receiver has got with the events of a session. There is an entry while the receiver may lack some of them.
 */
export interface DeliveryEntry {
  /** Canonical name of the session. */
  readonly session: string;
  /** Id of the receiver. */
  readonly endpoint: string;
  /** Name of the root supervisor. */
  readonly supervisor: string;
  /** The number of the last event that the receiver has, or does not need. */
  readonly after: number;
  /** When that was written, in milliseconds since the epoch. */
  readonly at: number;
}

/** Which entries to return, ordered by session and then by endpoint, in the order of bytes. */
export interface DeliveryQuery {
  /** Only those of this supervisor. */
  readonly supervisor?: string;
  /** Only those of these sessions. */
  readonly sessions?: readonly string[];
  /** Only those after this one. */
  readonly after?: Pick<DeliveryEntry, "session" | "endpoint">;
  /** How many to return at most, up to 1,000. */
  readonly limit: number;
}

const MOST_DELIVERIES = 1_000;

/** Returns the limit of a query, within that of a page. */
export function deliveryLimitOf({ limit }: DeliveryQuery): number {
  return Math.max(0, Math.min(limit, MOST_DELIVERIES));
}
