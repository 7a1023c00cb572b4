/** What went wrong in a call to a supervisor. Stable: a code never changes its meaning. */
export type SupervisionErrorCode =
  /** No child has this id. */
  | "CHILD_NOT_FOUND"
  /** A child with this id is up or coming up. */
  | "CHILD_ALREADY_STARTED"
  /** A child with this id is known but not up: stopped, quarantined or about to be restarted. */
  | "CHILD_ALREADY_PRESENT"
  /** The call is for a child that does not run, and this one does. */
  | "CHILD_RUNNING"
  /** The call is for a child that does not run, and this one is about to be restarted. */
  | "CHILD_RESTARTING"
  /** The child did not come up; `cause` is what its start threw. */
  | "CHILD_START_FAILED"
  /** The start was called off by another call or by the end of the supervisor. */
  | "CHILD_START_CANCELLED"
  /** The child was killed and still did not end in time. It is not started again, lest there be two of it. */
  | "CHILD_NOT_GONE"
  /** The supervisor already has as many children as it may. */
  | "MAX_CHILDREN"
  /** The supervisor gave up: more restarts than its intensity allows. `cause` is the exit that was one too many. */
  | "MAX_RESTARTS"
  /** The supervisor has ended or is ending. */
  | "SUPERVISOR_STOPPED"
  /** A child spec has a field that is wrong, or two that contradict each other. */
  | "INVALID_CHILD_SPEC"
  /** An option of the supervisor is wrong. */
  | "INVALID_SUPERVISOR_SPEC";

/** An error of this room. `id` is the child it is about, when it is about one. */
export class SupervisionError extends Error {
  override readonly name: string = "SupervisionError";
  readonly code: SupervisionErrorCode;
  readonly id: string | undefined;

  constructor(code: SupervisionErrorCode, message: string, details: { id?: string; cause?: unknown } = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.id = details.id;
  }
}
