import { CastellanError } from "../../errors.ts";
import type { JournalOwner } from "./journal.ts";

/** Returns the error for a journal that another application owns. */
export function inUse(location: string, { pid, host, startedAt }: JournalOwner): CastellanError<"JOURNAL_IN_USE"> {
  const message = `The journal ${location} belongs to process ${pid} on ${host}, started at ${new Date(startedAt).toISOString()}. End that application, give this one another journal, or let it wait with \`waitForOwner\`.`;
  return new CastellanError("JOURNAL_IN_USE", message, { details: { pid, host, startedAt } });
}

/** Returns the error for a failed write. A custom journal may throw anything. */
export function writeFault(thrown: unknown, location: string): CastellanError {
  return faultOf(thrown, `The journal ${location} could not be written`);
}

/** Returns the error for a failed read. */
export function readFault(thrown: unknown, location: string): CastellanError {
  return faultOf(thrown, `The journal ${location} could not be read`);
}

/** Whether an error says that what was read is damaged. */
export function isDamage(error: unknown): boolean {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "damaged";
}

/** Whether an error says that the journal rejects the change for good, for every writer. */
export function isRefused(error: unknown): boolean {
  return CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.reason === "refused";
}

function faultOf(thrown: unknown, what: string): CastellanError {
  if (CastellanError.is(thrown, "JOURNAL_UNAVAILABLE") || CastellanError.is(thrown, "NOT_OWNER")) return thrown;
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return new CastellanError("JOURNAL_UNAVAILABLE", `${what}: ${words}`, {
    // The row contains invalid JSON.
    details: { reason: thrown instanceof SyntaxError ? "damaged" : "failed" },
    cause: thrown,
  });
}
