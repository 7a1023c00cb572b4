import { CastellanError } from "../../errors.ts";
import type { JournalOwner } from "./journal.ts";

/** The error that another application holds the journal at `place`. */
export function inUse(location: string, { pid, host, startedAt }: JournalOwner): CastellanError<"JOURNAL_IN_USE"> {
  const message = `The journal ${location} belongs to process ${pid} on ${host}, started at ${new Date(startedAt).toISOString()}. End that application, give this one another journal, or let it wait with \`waitForOwner\`.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid, host, startedAt } });
}

/** What a journal threw when it was to be written, as an error of ours: one of the application's own may throw anything. */
export function writeFault(thrown: unknown, location: string): CastellanError {
  return faultOf(thrown, `The journal ${location} could not be written`);
}

/** What it threw when it was to be read. */
export function readFault(thrown: unknown, location: string): CastellanError {
  return faultOf(thrown, `The journal ${location} could not be read`);
}

function faultOf(thrown: unknown, what: string): CastellanError {
  if (CastellanError.is(thrown, "JOURNAL_UNAVAILABLE") || CastellanError.is(thrown, "NOT_OWNER")) return thrown;
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return new CastellanError("JOURNAL_UNAVAILABLE", `${what}: ${words}`, {
    // What stands in a row is no JSON any more.
    details: { reason: thrown instanceof SyntaxError ? "damaged" : "failed" },
    cause: thrown,
  });
}
