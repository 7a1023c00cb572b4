import { CastellanError } from "../errors.ts";
import { formatName } from "../names.ts";
import { reasonOf } from "../supervision/child-spec.ts";
import { startError } from "./tree/child-report.ts";
import type { NotStarted } from "./tree/supervisor-reports.ts";

/** What a start is rejected with, of which each child has to come up. */
export function bootFailure(supervisor: string, failed: readonly NotStarted[]): CastellanError {
  const errors = failed.map(({ error }) => error);
  const cause = errors.length === 1 ? errors[0] : new AggregateError(errors, "children did not come up");
  const why = failed.map(({ name, error }) => `${formatName(name)}: ${startReason(error)}`).join("; ");
  return startError(`${supervisor} has not been started, since not all of its children have come up. ${why}.`, cause);
}

/** The same as the error says, without advice for what is quarantined. */
function startReason(error: CastellanError): string {
  if (CastellanError.is(error, "SESSION_QUARANTINED")) return error.details.lastExits.at(-1)?.message ?? error.message;
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}
