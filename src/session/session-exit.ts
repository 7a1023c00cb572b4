import type { Clock } from "../clock.ts";
import { CastellanError, type ExitClass, type ExitRecord } from "../errors.ts";
import type { ChildExit, Disposition } from "../supervision/child-spec.ts";

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

/** The exit as its supervisor sees it. The record travels as the cause. */
export function childExitOf(exit: ExitRecord): ChildExit {
  return exit.class === "done"
    ? { reason: "normal", cause: exit }
    : { reason: "abnormal", disposition: DISPOSITIONS[exit.class], cause: exit };
}

/** The exit behind an error of a start. An error of another kind is a fault of Castellan, and counts as a crash. */
export function exitOfError(error: unknown, clock: Clock): ExitRecord {
  if (CastellanError.is(error, "START_FAILED") || CastellanError.is(error, "CLAUDE_NOT_FOUND"))
    return error.details.exit;
  return { class: "crash", message: error instanceof Error ? error.message : String(error), at: clock.now() };
}
