import { closeSync, openSync } from "node:fs";
import type { ExitClass } from "../errors.ts";

/**
 * The system's error codes for a shortage that may pass in a moment: file descriptors, processes, memory, disk space, a
 * slow disk.
 */
const PASSING: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "EAGAIN",
  "ENOMEM",
  "ENOSPC",
  "EDQUOT",
  "EBUSY",
  "EINTR",
  "EIO",
  "ENOLCK",
  "ENOTEMPTY",
  "ESTALE",
  "ETIMEDOUT",
]);

/** The errors of a file or a process that does not exist. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESRCH"]);

/** Errors after which no further file can be opened. */
const OUT_OF_FILES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM"]);

/**
 * Returns the exit class of a start that failed with a system error: another start may succeed, or somebody has to fix
 * something.
 */
export function classOfFault(error: unknown): Extract<ExitClass, "overload" | "bad_config"> {
  return isTemporary(error) ? "overload" : "bad_config";
}

/** Whether a system error may be gone at the next attempt. */
export function isTemporary(error: unknown): boolean {
  return isOneOf(PASSING, error);
}

/** Whether Claude Code's text about a system error means that the error may be gone at the next attempt. */
export function isTemporaryInWords(words: string): boolean {
  return words.match(/\bE[A-Z]{2,}\b/g)?.some((code) => PASSING.has(code)) === true;
}

/** Whether an error means that no file can be opened now. */
export function isOutOfFiles(error: unknown): boolean {
  return isOneOf(OUT_OF_FILES, error);
}

/** Whether an error means that a file, or a process in /proc, does not exist. */
export function isGone(error: unknown): boolean {
  return isOneOf(GONE, error);
}

/** Whether no file can be opened now. A search for a file then finds nothing, which proves nothing. */
export function opensNoFile(): boolean {
  try {
    closeSync(openSync(process.execPath, "r"));
    return false;
  } catch (error) {
    return isOutOfFiles(error);
  }
}

function isOneOf(codes: ReadonlySet<string>, error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.has(error.code);
}
