import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { lstat, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Settings } from "@anthropic-ai/claude-agent-sdk";
import { makeFolder } from "../journal/sqlite/sqlite-file.ts";
import { nameKey, type SessionName } from "../names.ts";

/** The working directory that a session has for itself, in a folder that it shares with others. Absolute, without symbolic links. */
export interface OwnDirectory {
  readonly root: string;
  readonly path: string;
}

/** The folder in it where Claude keeps what it remembers by itself. */
const MEMORY = ".memory";

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

/**
 * Makes the directory, for this user only, if there is none.
 *
 * @throws Error if it cannot be made, or something else has its name
 */
export async function makeOwnDirectory({ root, path }: OwnDirectory): Promise<void> {
  makeFolder(dirname(root));
  await mkdir(path, { recursive: true, mode: 0o700 });
  await refuseLink(path);
  // The folder above is kept out of repositories, and Claude would search nothing that is ignored there.
  await writeFile(join(root, ".gitignore"), "!*\n", { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

/** Removes what is in the directory, if there is one. @throws Error if that cannot be done */
export async function emptyOwnDirectory(directory: OwnDirectory): Promise<void> {
  const { path } = directory;
  await makeOwnDirectory(directory);
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true });
}

/** Where Claude keeps in it what it remembers, and what it has scheduled for good; no path of one that is no directory. */
export async function keptInOwnDirectory({ path }: OwnDirectory): Promise<string[]> {
  const settings = join(path, ".claude");
  if (!(await isDirectory(path))) return [];
  return [join(path, MEMORY), ...((await isDirectory(settings)) ? [join(settings, "scheduled_tasks.json")] : [])];
}

/** Whether it is one itself, and no link to one. */
async function isDirectory(path: string): Promise<boolean> {
  return await refuseLink(path).then(
    () => true,
    () => false,
  );
}

/** A link would lead what is written, or removed, to where another session is. */
async function refuseLink(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) throw new Error(`${path} is no directory`);
}

/**
 * The settings of a session with a directory of its own: `settings` over what keeps its file tools in there, whatever rules and modes
 * allow, what Claude remembers, and, in a sandbox, commands away from the directories of others.
 */
export function settingsWithin({ root, path }: OwnDirectory, settings: Settings, autoMemory: boolean): Settings {
  const { permissions, sandbox } = settings;
  return {
    crossSessionInbound: "refuse",
    // Claude Code's own choice is a folder for the whole repository that the directory may be in.
    ...(autoMemory ? { autoMemoryDirectory: join(path, MEMORY) } : {}),
    ...settings,
    permissions: {
      blockReadsOutsideWorkingDirectories: true,
      blockWritesOutsideWorkingDirectories: true,
      ...permissions,
    },
    sandbox: {
      ...sandbox,
      filesystem: { ...sandbox?.filesystem, denyRead: [root, ...(sandbox?.filesystem?.denyRead ?? [])] },
    },
  };
}
