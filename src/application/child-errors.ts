import { CastellanError, type ErrorCode } from "../errors.ts";
import { SupervisionError, type SupervisionErrorCode } from "../supervision/errors.ts";

/** What the tree's errors are called by Castellan. */
const CODES = {
  CHILD_NOT_FOUND: "CHILD_NOT_FOUND",
  CHILD_ALREADY_STARTED: "CHILD_ALREADY_STARTED",
  CHILD_ALREADY_PRESENT: "CHILD_ALREADY_PRESENT",
  CHILD_RUNNING: "CHILD_RUNNING",
  CHILD_RESTARTING: "CHILD_RESTARTING",
  CHILD_START_FAILED: "CHILD_START_FAILED",
  CHILD_START_CANCELLED: "CHILD_START_FAILED",
  CHILD_NOT_GONE: "CHILD_NOT_GONE",
  MAX_CHILDREN: "MAX_CHILDREN",
  MAX_RESTARTS: "SUPERVISOR_STOPPED",
  SUPERVISOR_STOPPED: "SUPERVISOR_STOPPED",
  INVALID_CHILD_SPEC: "INVALID_OPTIONS",
  INVALID_SUPERVISOR_SPEC: "INVALID_OPTIONS",
} as const satisfies { readonly [Code in SupervisionErrorCode]: ErrorCode };

/** An error of the tree as an error of Castellan; anything else as it is. */
export function translated(error: unknown): unknown {
  if (!(error instanceof SupervisionError)) return error;
  const code = CODES[error.code];
  const { message } = error;
  if (code === "INVALID_OPTIONS") {
    const problems = [{ field: error.id ?? "", message }];
    return new CastellanError(code, message, { details: { problems }, cause: error });
  }
  return new CastellanError(code, message, { cause: error });
}
