import { firstProcessIsNode, RUN_AN_INIT } from "../claude/orphan-reaping.ts";
import { exposureOf } from "../journal/sqlite/sqlite-exposure.ts";
import type { JournalOptions } from "./options/journal-options.ts";
import type { Logger } from "./options/supervisor-options.ts";

/** How much of what was told is remembered, so that it is told once. */
const MOST_KEPT = 1_000;

/**
 * Makes the function that tells somebody of options that do not do what they seem to do: the logger, or whoever reads the warnings of
 * this process. The same advice is told once, of the first session that it is about.
 */
export function advisor(logger: Logger | undefined): (who: string, advice: string) => void {
  const told = new Set<string>();
  return (who, advice) => {
    if (told.has(advice)) return;
    if (told.size >= MOST_KEPT) told.clear();
    told.add(advice);
    const message = `${who}: ${advice}`;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "OPTION_WITHOUT_EFFECT" });
    else logger.warn(message);
  };
}

let warned = false;

/** Warns, once in the life of this process, if nothing clears away what Claude's commands leave behind when they end. */
export function warnWithoutInit(logger: Logger | undefined): void {
  if (warned || !firstProcessIsNode()) return;
  warned = true;
  const message = `Node.js is the first process of this container and does not clear orphans away, which pile up as zombies; ${RUN_AN_INIT}.`;
  if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "NO_INIT" });
  else logger.warn(message);
}

/** Warns if other users of the machine can read or change the file of a journal that is open. */
export function warnIfExposed(journal: JournalOptions, logger: Logger | undefined): void {
  if (typeof journal !== "object" || !("sqlite" in journal)) return;
  for (const exposure of exposureOf(journal.sqlite)) {
    const message = `${exposure.charAt(0).toUpperCase()}${exposure.slice(1)}.`;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_EXPOSED" });
    else logger.warn(message);
  }
}
