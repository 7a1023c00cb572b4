import type { SessionName } from "../names.ts";

/** Why an endpoint did not take a request. */
export interface WebhookFailure {
  /** In milliseconds since the epoch. */
  readonly at: number;
  /** The status of the answer; left out if there was none. */
  readonly status?: number;
  /** What went wrong, in a few words or as a code such as `ECONNREFUSED`. */
  readonly problem: string;
}

/** An endpoint, as this application sees it since its start. Shows neither the path of its URL nor its secrets. */
export interface EndpointStatus {
  readonly id: string;
  /** The origin of its URL. */
  readonly origin: string;
  /**
   * `ready`: it gets requests. `failing`: it could not be reached, and is tried again at `retryAt`. `disabled`: it answered 410,
   * and gets nothing until it is retried or the application restarts.
   */
  readonly state: "ready" | "failing" | "disabled";
  /** In milliseconds since the epoch. */
  readonly retryAt?: number;
  /** How many sessions may have undelivered events. */
  readonly pendingSessions: number;
  /** Whether there may be more of them, which wait in the journal. */
  readonly morePending: boolean;
  /** How many events were delivered. */
  readonly delivered: number;
  /** How often events were given up: too old, or deleted by the journal's limits. */
  readonly dropped: number;
  readonly lastDeliveredAt?: number;
  readonly lastFailure?: WebhookFailure;
}

/** The result of a test message. */
export interface WebhookTest {
  readonly delivered: boolean;
  readonly status?: number;
  readonly problem?: string;
  readonly durationMs: number;
}

/** Events that will not be delivered. */
export interface WebhookDrop {
  readonly endpoint: string;
  readonly session: SessionName;
  /** `expired`: they got too old. `pruned`: the journal deleted them first, by its limits. */
  readonly reason: "expired" | "pruned";
  /** The number of the event; of `pruned`, of the first that is left. */
  readonly event: number;
}
