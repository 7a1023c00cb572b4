import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { OwnDirectory } from "../../claude/own-directory.ts";
import { nameKey, type SessionName } from "../../names.ts";

/** Where the directories of sessions are, unless the options say otherwise, from the working directory of the application. */
const ROOT = join(".castellan", "sessions");

/** Of a name, how many characters are shown in that of its folder. */
const SHOWN = 40;

/** The directory of the session of this name, in a folder of its own below `root`. Nothing of it has to exist. */
export function ownDirectoryOf(name: SessionName, root: string = ROOT): OwnDirectory {
  const real = realPathOf(resolve(root));
  return { root: real, path: join(real, folderNameOf(name)) };
}

/** What leads through a link counts for Claude's file tools as outside of where it leads to. What does not exist is taken as it is. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}

/**
 * The name of a session's folder: always the same for the same session, and never that of another one, also where file names ignore
 * case. It may stand on any file system, whatever the name of the session is made of. What tells sessions apart is a digest of the
 * name; before it stands, for people, what is left of the name itself.
 */
export function folderNameOf(name: SessionName): string {
  // Of ASCII only, since what a letter is, and its lower case, changes with the release of Unicode.
  const words =
    [name]
      .flat()
      .join("-")
      .match(/[A-Za-z0-9]+/g) ?? [];
  const shown = words.join("-").slice(0, SHOWN).replace(/-$/, "").toLowerCase();
  const digest = createHash("sha256").update(nameKey(name)).digest("hex").slice(0, 32);
  return shown === "" ? digest : `${shown}-${digest}`;
}
