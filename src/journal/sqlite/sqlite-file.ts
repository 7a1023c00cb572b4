import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { codeOf } from "./sqlite-fault.ts";

/*
 * Nothing here may open a file that is there already: when a process closes a file, the kernel takes every lock from it that
 * it has on that file, also those of others in the same process.
 */

/** The one path of the file that `place` leads to, over whatever links; what lacks on the way to it is made. */
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
 * Makes an empty file that only this user can read, since prompts are private, unless there is one. SQLite gives the files
 * beside it the same mode.
 */
export function makeFile(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** @throws Error if this process may not write to it */
export function refuseUnwritable(path: string): void {
  accessSync(path, constants.W_OK);
}

/**
 * Makes a folder that only this user can read, unless there is one. It comes with a `.gitignore`, so that nobody commits prompts, and
 * appears only when it is complete.
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}-`);
  try {
    writeFileSync(join(unfinished, ".gitignore"), "*\n");
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Somebody else was faster.
    if (!existsSync(folder)) throw error;
  }
}

/** Where a link leads that leads to nothing yet; `undefined` if it is no link. */
function targetOf(location: string): string | undefined {
  try {
    return readlinkSync(location);
  } catch {
    return undefined;
  }
}
