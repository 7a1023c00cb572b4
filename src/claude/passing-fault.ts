import { closeSync, openSync } from "node:fs";
import type { ExitClass } from "../errors.ts";

/** What the system answers when it lacks something that it may have a moment later: descriptors, processes, memory, room, an answer of a disk. */
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

/** Those after which nothing more can be opened. */
const OUT_OF_FILES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM"]);

/** What a start that failed with an error of the system comes to: the next one may do better, or somebody has to mend something. */
export function classOfFault(error: unknown): Extract<ExitClass, "overload" | "bad_config"> {
  return passes(error) ? "overload" : "bad_config";
}

/** Whether an error of the system may be gone at the next try. */
export function passes(error: unknown): boolean {
  return isOneOf(PASSING, error);
}

/** Whether what Claude Code says of an error of the system means that it may be gone at the next try. */
export function passesInWords(words: string): boolean {
  return words.match(/\bE[A-Z]{2,}\b/g)?.some((code) => PASSING.has(code)) === true;
}

/** Whether an error says that no file can be opened now. */
export function isOutOfFiles(error: unknown): boolean {
  return isOneOf(OUT_OF_FILES, error);
}

/** Whether no file can be opened now. Whoever looks for one then takes it that there is none. */
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
