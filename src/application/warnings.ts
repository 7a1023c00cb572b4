import { firstProcessIsNode, RUN_AN_INIT } from "../claude/orphan-reaping.ts";
import { exposureOf } from "../journal/sqlite/sqlite-exposure.ts";
import type { JournalOptions } from "./options/journal-options.ts";
import { type Logger, logWarning } from "./options/supervisor-options.ts";

/** The maximum number of pieces of advice to remember, so that each is given once. */
const MAX_REMEMBERED = 1_000;

/**
 * Returns a function that warns about options without effect: to the logger, or as a process warning. It gives the same advice
 * only once, for the first session that it concerns.
 */
export function advisor(logger: Logger | undefined): (who: string, advice: string) => void {
  const given = new Set<string>();
  return (who, advice) => {
    if (given.has(advice)) return;
    if (given.size >= MAX_REMEMBERED) given.clear();
    given.add(advice);
    logWarning(logger, "OPTION_WITHOUT_EFFECT", `${who}: ${advice}`);
  };
}

let warned = false;

/** Warns, once per process, if nothing reaps the orphans of Claude's commands. */
export function warnWithoutInit(logger: Logger | undefined): void {
  if (warned || !firstProcessIsNode()) return;
  warned = true;
  const message = `Node.js is the first process of this container and does not reap orphans, which pile up as zombies; ${RUN_AN_INIT}.`;
  logWarning(logger, "NO_INIT", message);
}

/** Warns if other users of the machine can read or change the file of the journal. */
export function warnIfExposed(journal: JournalOptions, logger: Logger | undefined): void {
  if (typeof journal !== "object" || !("sqlite" in journal)) return;
  for (const exposure of exposureOf(journal.sqlite)) {
    logWarning(logger, "JOURNAL_EXPOSED", `${exposure.charAt(0).toUpperCase()}${exposure.slice(1)}.`);
  }
}
