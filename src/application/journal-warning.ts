import { exposureOf } from "../journal/sqlite/sqlite-exposure.ts";
import type { JournalOptions } from "./options/journal-options.ts";
import type { Logger } from "./options/supervisor-options.ts";

/** Warns if other users of the machine can read or change the file of a journal that is open. */
export function warnIfExposed(journal: JournalOptions, logger: Logger | undefined): void {
  if (typeof journal !== "object" || !("sqlite" in journal)) return;
  for (const exposure of exposureOf(journal.sqlite)) {
    const message = `${exposure.charAt(0).toUpperCase()}${exposure.slice(1)}.`;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "JOURNAL_EXPOSED" });
    else logger.warn(message);
  }
}
