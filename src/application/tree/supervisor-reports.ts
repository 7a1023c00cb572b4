import type { SparesStatus } from "../../capacity/spares.ts";
import type { CastellanError } from "../../errors.ts";
import type { SessionName } from "../../names.ts";
import type { ChildInfo } from "../../supervision/child-spec.ts";

/** A child that did not come up, and why. */
export interface NotStarted {
  readonly name: SessionName;
  readonly error: CastellanError;
}

/** Why a supervisor ended. */
export interface SupervisorEnd {
  /**
   * `stopped` by a call, `max_restarts` by escalation, `auto_shutdown` by the end of significant children, `journal_lost`
   * because another application has taken the journal over.
   */
  readonly reason: "stopped" | "max_restarts" | "auto_shutdown" | "journal_lost";
  /** What was one too many, or the end that ended it. */
  readonly cause?: unknown;
}

/** A child of a supervisor, as in OTP's `which_children`. */
export interface ChildSummary {
  /** The name of a session, supervisor, template or pool, the id of a worker. */
  readonly id: SessionName;
  readonly type: "session" | "supervisor" | "template" | "pool" | "worker";
  readonly state: ChildInfo["state"];
}

/** What a supervisor and all below it have of what there may be. */
export interface CapacityStatus {
  /** How many processes there are, or may be at this moment. */
  readonly processes: number;
  /** How many sessions wait for one. */
  readonly waiting: number;
  /** How many turns run, and how many sessions wait to run one while there are as many as there may be. */
  readonly turns: { readonly running: number; readonly waiting: number };
  readonly spares: SparesStatus;
}

/** What `drain` came to. */
export interface DrainReport {
  /** Whether all turns had ended before the deadline. */
  readonly completed: boolean;
}

/** What `refreshCredentials` did, by the names of the sessions. */
export interface CredentialsReport {
  /** Their processes had other credentials than they would be given now, and are gone; or they were quarantined for theirs, and are back. */
  readonly replaced: readonly SessionName[];
  /** They were still at work at the deadline. Each gets another process when it has nothing to do, before its next turn. */
  readonly waiting: readonly SessionName[];
  /** No process came up with the new credentials; or there are none, and the process goes on. */
  readonly failed: readonly NotStarted[];
  /** How many had nothing to be replaced: no process, or one with the credentials that it would be given now. */
  readonly unchanged: number;
}

/** What `reconcile` did, each child by its name or id. Those that are not named have not been touched. */
export interface ReconcileReport {
  readonly added: readonly SessionName[];
  readonly removed: readonly SessionName[];
  /** Sessions that go on with changed options and their conversation. */
  readonly changed: readonly SessionName[];
  readonly failed: readonly NotStarted[];
}
