import { accessSync, closeSync, constants, openSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolder } from "../../private-folder.ts";
import { codeOf } from "./sqlite-fault.ts";

/*
 * Nothing here may open an existing file: when a process closes a file, the kernel drops all locks of the process on
 * that file.
 */

/** Returns the real path of the file, following links. Creates missing folders. */
export function locate(location: string): string {
  try {
    return realpathSync.native(location);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
  const link = targetOf(location);
  if (link !== undefined) return locate(resolve(dirname(location), link));
  makeFolder(dirname(location));
  return join(realpathSync.native(dirname(location)), basename(location));
}

/**
 * Creates an empty file with mode 0600, since prompts are private, unless the file exists. SQLite gives the files
 * beside it the same mode.
 */
export function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** @throws Error if this process may not write to the file */
export function refuseUnwritable(path: string): void {
  accessSync(path, constants.W_OK);
}

/** Returns the target of a dangling link; undefined if the path is not a link. */
function targetOf(location: string): string | undefined {
  try {
    return readlinkSync(location);
  } catch {
    return undefined;
  }
}
