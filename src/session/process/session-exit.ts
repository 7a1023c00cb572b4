import { passes } from "../../claude/passing-fault.ts";
import type { Clock } from "../../clock.ts";
import { CastellanError, type ExitClass, type ExitRecord, isStorageFault, type JournalFault } from "../../errors.ts";
import type { ChildExit, Disposition } from "../../supervision/child-spec.ts";

/** What supervision does about an exit of each class; an end that was asked for is none of its business. */
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
 * How many starts in a row may fail. Supervision counts restarts within a few seconds, and a start that takes its time to
 * fail would stay below that for ever.
 */
const MOST_FAILED_STARTS = 5;

/**
 * The exit as its supervisor sees it. The record travels as the cause.
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
 * The exit behind an error of a start. What the system, or the journal, may have again a moment later is an overload; an error of
 * another kind is a fault of Castellan, and counts as a crash.
 */
export function exitOfError(error: unknown, clock: Clock): ExitRecord {
  if (CastellanError.is(error, "START_FAILED") || CastellanError.is(error, "CLAUDE_NOT_FOUND"))
    return error.details.exit;
  const kind = passes(error) || journalMayComeBack(error) ? "overload" : "crash";
  return { class: kind, message: error instanceof Error ? error.message : String(error), at: clock.now() };
}

/** What of a journal somebody has to mend. */
const LASTING: ReadonlySet<JournalFault> = new Set(["read_only", "damaged", "foreign", "refused"]);

/** Whether the journal could not be read or written, which it may be at the next try. */
export function journalMayComeBack(error: unknown): boolean {
  return isStorageFault(error) && !LASTING.has(error.details.reason);
}
