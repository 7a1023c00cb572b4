import { isTemporary } from "../../claude/passing-fault.ts";
import type { Clock } from "../../clock.ts";
import { CastellanError, type ExitClass, type ExitRecord, isStorageFault, type JournalFault } from "../../errors.ts";
import type { ChildExit, Disposition } from "../../supervision/child-spec.ts";

/** The disposition of an exit of each class. Requested ends have none. */
const DISPOSITIONS: { readonly [Class in Exclude<ExitClass, "done">]: Disposition } = {
  crash: "count",
  stalled: "count",
  out_of_memory: "count",
  bad_config: "quarantine",
  auth: "quarantine",
  conversation_missing: "quarantine",
  conversation_exists: "quarantine",
  quota: "free",
  overload: "free",
};

/**
 * How many consecutive starts may fail. The restart intensity only counts crashes within a few seconds, so a start that
 * fails slowly would never exceed it.
 */
const MOST_FAILED_STARTS = 5;

/**
 * Returns the exit for the supervisor, with the record as its cause.
 *
 * @param failedStarts how many starts in a row have failed, this one included
 */
export function childExitOf(exit: ExitRecord, failedStarts = 0): ChildExit {
  if (exit.class === "done") return { reason: "normal", cause: exit };
  const disposition = DISPOSITIONS[exit.class];
  const hopeless = disposition === "count" && failedStarts > MOST_FAILED_STARTS;
  return { reason: "abnormal", disposition: hopeless ? "quarantine" : disposition, cause: exit };
}

/**
 * Returns the exit behind the error of a start. A lack of something that the system or the journal may provide a moment
 * later is an overload. Any unexpected error is a bug of Castellan and counts as a crash.
 */
export function exitOfError(error: unknown, clock: Clock): ExitRecord {
  if (CastellanError.is(error, "START_FAILED") || CastellanError.is(error, "CLAUDE_NOT_FOUND"))
    return error.details.exit;
  const kind = isTemporary(error) || isTemporaryJournalFault(error) ? "overload" : "crash";
  return { class: kind, message: error instanceof Error ? error.message : String(error), at: clock.now() };
}

/** Journal faults that need a person to fix them. */
const LASTING: ReadonlySet<JournalFault> = new Set([
  "untrusted",
  "denied",
  "read_only",
  "damaged",
  "foreign",
  "refused",
]);

/** Whether the error is a journal fault that another try may not meet. */
export function isTemporaryJournalFault(error: unknown): boolean {
  return isStorageFault(error) && !LASTING.has(error.details.reason);
}
