import { CastellanError, type JournalFault } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { GarbledRow } from "./sqlite-rows.ts";

/** A commit that failed in such a way that it may be there nevertheless, after a crash. */
export class UncertainCommit extends Error {
  override readonly name: string = "UncertainCommit";

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

/** By SQLite's primary result codes. */
const BY_RESULT: { readonly [code: number]: JournalFault } = {
  3: "read_only", // SQLITE_PERM
  5: "busy", // SQLITE_BUSY
  6: "busy", // SQLITE_LOCKED
  8: "read_only", // SQLITE_READONLY
  11: "damaged", // SQLITE_CORRUPT
  13: "no_space", // SQLITE_FULL
  14: "unreachable", // SQLITE_CANTOPEN
  18: "refused", // SQLITE_TOOBIG
  19: "refused", // SQLITE_CONSTRAINT
  20: "refused", // SQLITE_MISMATCH
  26: "damaged", // SQLITE_NOTADB
};

/** The file for memory that connections share could not be made as large as it has to be. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** With these a commit has not written the frame that would make it count. */
const NOT_COMMITTED: ReadonlySet<number> = new Set([5, 8, 13]); // SQLITE_BUSY, SQLITE_READONLY, SQLITE_FULL

const BY_CODE: { readonly [code: string]: JournalFault } = {
  EACCES: "read_only",
  EPERM: "read_only",
  EROFS: "read_only",
  ENOSPC: "no_space",
  EDQUOT: "no_space",
  ENOENT: "unreachable",
  ENOTDIR: "unreachable",
  EISDIR: "unreachable",
  EEXIST: "unreachable",
  ELOOP: "unreachable",
  ENAMETOOLONG: "unreachable",
  ERR_OUT_OF_RANGE: "damaged", // a number that no release has written
  ERR_INVALID_ARG_VALUE: "unreachable", // a path with a null byte in it
};

const ADVICE: { readonly [Fault in JournalFault]: string } = {
  unreachable: "Name a file in a folder that exists or can be made.",
  no_space: "Free some space there; it then goes on.",
  busy: "Another program has it locked. It goes on when that is over.",
  read_only: "Let this user write to the file and to its folder, or name another path.",
  damaged:
    "It is left as it is. Put a backup in its location, save what can be saved with `.recover` of the sqlite3 program, or " +
    "move it away together with its -wal and -shm files to begin anew.",
  foreign: "It is left as it is. Name another path.",
  refused: "Nothing of it was written.",
  failed: "See the cause for what the system said.",
};

const GARBLED_ADVICE = "Put a backup of the journal in its location, or take this out of it with the sqlite3 program.";

/** Whether SQLite could not do something because somebody else has the file locked. */
export function isBusy(error: unknown): boolean {
  const result = resultOf(error);
  return result !== undefined && BY_RESULT[result & 0xff] === "busy";
}

/** What an error of SQLite, of the file system or of the values given comes to. */
export function faultOf(error: unknown): JournalFault {
  if (error instanceof UncertainCommit) return faultOf(error.cause);
  if (error instanceof GarbledRow || error instanceof SyntaxError) return "damaged";
  const result = resultOf(error);
  if (result === SQLITE_IOERR_SHMSIZE) return "no_space";
  if (result !== undefined) return BY_RESULT[result & 0xff] ?? "failed";
  const byCode = BY_CODE[codeOf(error)];
  if (byCode !== undefined) return byCode;
  // Values that no statement takes and JSON cannot say.
  return error instanceof TypeError || error instanceof RangeError ? "refused" : "failed";
}

/** Whether a commit that failed so may be there nevertheless. */
export function isUncertain(error: unknown): boolean {
  const result = resultOf(error);
  return result === undefined || !NOT_COMMITTED.has(result & 0xff);
}

/**
 * The error that the journal at `place` could not be opened, read or written.
 *
 * @param applied whether what was to be written is there; left out for all else, and if that cannot be told
 */
export function unavailable(location: string, error: unknown, applied?: boolean): CastellanError {
  if (CastellanError.is(error)) return error;
  if (error instanceof GarbledRow) {
    const message = `The journal ${location} is damaged: ${error.message}. The rest of it can be used. ${GARBLED_ADVICE}`;
    return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" }, cause: error });
  }
  return fault(location, faultOf(error), messageOf(error), {
    cause: error,
    ...withoutUndefined({ applied }),
  });
}

/** The same, where there is no error behind it, or it says too little. */
export function fault(
  location: string,
  reason: JournalFault,
  what: string,
  { cause, advice = ADVICE[reason], ...known }: { cause?: unknown; advice?: string; applied?: boolean } = {},
): CastellanError<"JOURNAL_UNAVAILABLE"> {
  const message = `The journal ${location} cannot be used (${reason}): ${what}. ${advice}`;
  return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason, ...known }, cause });
}

function resultOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** The code of an error of Node, such as `ENOENT`; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
