import { CastellanError, type JournalFault } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { DamagedRow } from "./sqlite-rows.ts";

/** A commit that failed, but may turn out to be durable after a crash. */
export class UncertainCommit extends Error {
  override readonly name: string = "UncertainCommit";

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

/** By SQLite's primary result codes. */
const BY_RESULT: { readonly [code: number]: FileFault } = {
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

/** The shared-memory file could not be extended. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** Result codes with which the commit frame has not been written. */
const NOT_COMMITTED: ReadonlySet<number> = new Set([5, 8, 13]); // SQLITE_BUSY, SQLITE_READONLY, SQLITE_FULL

const BY_CODE: { readonly [code: string]: FileFault } = {
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
  ERR_OUT_OF_RANGE: "damaged", // no release writes such a number
  ERR_INVALID_ARG_VALUE: "unreachable", // a path with a null byte
};

/** Why a file cannot be read or written. */
type FileFault = Exclude<JournalFault, "untrusted" | "denied">;

const ADVICE: { readonly [Fault in FileFault]: string } = {
  unreachable: "Name a file in a folder that exists or can be created.",
  no_space: "Free some disk space; the journal then recovers by itself.",
  busy: "Another program has locked the file. The journal recovers once the lock is gone.",
  read_only: "Let this user write to the file and to its folder, or name another path.",
  damaged:
    "Castellan leaves the file unchanged. Restore a backup, save the readable part with `.recover` of the sqlite3 program, or " +
    "move the file away together with its -wal and -shm files to start with an empty journal.",
  foreign: "Castellan leaves the file unchanged. Name another path.",
  refused: "Nothing was written.",
  failed: "See `cause` for the system's error.",
};

const DAMAGED_ROW_ADVICE = "Restore a backup of the journal, or remove the row with the sqlite3 program.";

/** Whether another program has locked the file. */
export function isBusy(error: unknown): boolean {
  const result = resultOf(error);
  return result !== undefined && BY_RESULT[result & 0xff] === "busy";
}

/** Classifies an error of SQLite, the file system or the given values. */
export function faultOf(error: unknown): FileFault {
  if (error instanceof UncertainCommit) return faultOf(error.cause);
  if (error instanceof DamagedRow || error instanceof SyntaxError) return "damaged";
  const result = resultOf(error);
  if (result === SQLITE_IOERR_SHMSIZE) return "no_space";
  if (result !== undefined) return BY_RESULT[result & 0xff] ?? "failed";
  const byCode = BY_CODE[codeOf(error)];
  if (byCode !== undefined) return byCode;
  // Values that SQLite cannot bind or JSON cannot represent.
  return error instanceof TypeError || error instanceof RangeError ? "refused" : "failed";
}

/** Whether a commit that failed with this error may still be durable. */
export function isUncertain(error: unknown): boolean {
  const result = resultOf(error);
  return result === undefined || !NOT_COMMITTED.has(result & 0xff);
}

/**
 * Returns the error for a journal that could not be opened, read or written.
 *
 * @param applied whether the write took effect; left out for reads, and if unknown
 */
export function unavailable(location: string, error: unknown, applied?: boolean): CastellanError {
  if (CastellanError.is(error)) return error;
  if (error instanceof DamagedRow) {
    const message = `The journal ${location} is damaged: ${error.message}. The rest is usable. ${DAMAGED_ROW_ADVICE}`;
    return new CastellanError("JOURNAL_UNAVAILABLE", message, { details: { reason: "damaged" }, cause: error });
  }
  return fault(location, faultOf(error), messageOf(error), {
    cause: error,
    ...withoutUndefined({ applied }),
  });
}

/** As {@link unavailable}, without an underlying error, or with a better description. */
export function fault(
  location: string,
  reason: FileFault,
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

/** Returns the code of a Node error, such as `ENOENT`, or "". */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
