import type { SparesStatus } from "../../capacity/spares.ts";
import type { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import type { ChildInfo } from "../../supervision/child-spec.ts";

/** A child that did not start. */
export interface NotStarted {
  readonly name: SessionName;
  readonly error: CastellanError;
}

/** How a supervisor ended. */
export interface SupervisorEnd {
  /**
   * `stopped`: by a call. `max_restarts`: by escalation. `auto_shutdown`: significant children ended. `journal_lost`: another
   * application has taken over the journal.
   */
  readonly reason: "stopped" | "max_restarts" | "auto_shutdown" | "journal_lost";
  /** The exit that caused the end, or the error of the journal. */
  readonly cause?: unknown;
}

/** A child of a supervisor, as in OTP's `which_children`. */
export interface ChildSummary {
  /** The name of a session, supervisor, template or pool; the id of a worker. */
  readonly id: SessionName;
  readonly type: "session" | "supervisor" | "template" | "pool" | "worker";
  readonly state: ChildInfo["state"];
}

/** The limits of a capacity. */
export interface CapacityLimits {
  readonly processes?: number;
  readonly memoryBytes?: number;
  /** Concurrent turns: of all sessions, and of those that use the same API key. */
  readonly turns?: number;
  readonly turnsPerKey?: number;
}

/** The capacity in use by a supervisor and everything below it. */
export interface CapacityStatus {
  /** The number of processes, including those that are starting. */
  readonly processes: number;
  /** The number of sessions that wait for a process. */
  readonly waiting: number;
  /** The number of running turns, and of sessions that wait to run one. */
  readonly turns: { readonly running: number; readonly waiting: number };
  /**
   * The memory of all processes together, in bytes, as {@link CapacityOptions.memoryBudget} counts it. Left out without such a
   * budget, because not all processes are measured then.
   */
  readonly memoryBytes?: number;
  /** The limits of {@link CapacityOptions}; each is left out if there is none. */
  readonly limits: CapacityLimits;
  readonly spares: SparesStatus;
}

/** The result of `drain`. */
export interface DrainReport {
  /** Whether all turns ended before the deadline. */
  readonly completed: boolean;
}

/** The result of `refreshCredentials`, by session. */
export interface CredentialsReport {
  /**
   * Sessions whose process was replaced because its credentials were outdated, and sessions that were quarantined for their
   * credentials and are back.
   */
  readonly replaced: readonly SessionName[];
  /** Sessions that were still busy at the deadline. Each gets its new process once it is idle, before its next turn. */
  readonly waiting: readonly SessionName[];
  /** Sessions without a process under the new credentials. If there are no new credentials, the old process goes on. */
  readonly failed: readonly NotStarted[];
  /** The number of sessions without a process, or with current credentials. */
  readonly unchanged: number;
}

/** The result of `reconcile`, each child by name or id. Other children were not touched. */
export interface ReconcileReport {
  readonly added: readonly SessionName[];
  readonly removed: readonly SessionName[];
  /** Sessions that continue with changed options and their conversation. */
  readonly changed: readonly SessionName[];
  readonly failed: readonly NotStarted[];
}
