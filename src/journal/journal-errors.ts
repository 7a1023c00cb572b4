import { CastellanError } from "../errors.ts";
import type { JournalOwner } from "./journal.ts";

/** The error that another application holds the journal at `place`. */
export function inUse(place: string, { pid, host, startedAt }: JournalOwner): CastellanError<"JOURNAL_IN_USE"> {
  const message = `The journal ${place} belongs to process ${pid} on ${host}, started at ${new Date(startedAt).toISOString()}. End that application, give this one another journal, or let it wait with \`waitForOwner\`.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid, host, startedAt } });
}
