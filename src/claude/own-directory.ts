import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { lstat, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Settings } from "@anthropic-ai/claude-agent-sdk";
import { nameKey, type SessionName } from "../names.ts";
import { makeFolder } from "../private-folder.ts";

/**
 * A session's own working directory, below a root that sessions share. Both paths are absolute and without symbolic
 * links.
 */
export interface OwnDirectory {
  readonly root: string;
  readonly path: string;
}

/** The folder for Claude's auto-memory, inside the session's directory. */
const MEMORY = ".memory";

/** The default root, relative to the application's working directory. */
const ROOT = join(".castellan", "sessions");

/** How many characters of the session's name its folder name shows. */
const SHOWN = 40;

/** Returns the directory of a session, a folder of its own below `root`. Neither has to exist. */
export function ownDirectoryOf(name: SessionName, root: string = ROOT): OwnDirectory {
  const real = realPathOf(resolve(root));
  return { root: real, path: join(real, folderNameOf(name)) };
}

/**
 * Resolves symbolic links, because Claude's file tools treat a path through a link as outside the link's target. Parts
 * that do not exist stay as they are.
 */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}

/**
 * Returns the name of a session's folder: always the same for one session, different for any two sessions, also on
 * case-insensitive file systems, and valid on every file system. A digest of the session's name makes it unique; a
 * readable remainder of the name precedes it.
 */
export function folderNameOf(name: SessionName): string {
  // ASCII only: which characters are letters, and their lower case, depends on the Unicode version.
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
 * Creates the directory for the current user only, if it does not exist.
 *
 * @throws Error if it cannot be created, or something else has its name
 */
export async function makeOwnDirectory({ root, path }: OwnDirectory): Promise<void> {
  makeFolder(dirname(root));
  await mkdir(path, { recursive: true, mode: 0o700 });
  await refuseLink(path);
  // The parent folder is usually git-ignored, and Claude does not search ignored files.
  await writeFile(join(root, ".gitignore"), "!*\n", { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

/** Removes everything in the directory, and creates it if it does not exist. @throws Error if that fails */
export async function emptyOwnDirectory(directory: OwnDirectory): Promise<void> {
  const { path } = directory;
  await makeOwnDirectory(directory);
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true });
}

/**
 * Returns the paths inside the directory where Claude keeps its memory and its durable schedules. Skips paths that are
 * not directories.
 */
export async function keptInOwnDirectory({ path }: OwnDirectory): Promise<string[]> {
  const settings = join(path, ".claude");
  if (!(await isDirectory(path))) return [];
  return [join(path, MEMORY), ...((await isDirectory(settings)) ? [join(settings, "scheduled_tasks.json")] : [])];
}

/** Whether the path is a directory itself rather than a link to one. */
async function isDirectory(path: string): Promise<boolean> {
  return await refuseLink(path).then(
    () => true,
    () => false,
  );
}

/** A link would redirect writes and removals to another session's files. */
async function refuseLink(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) throw new Error(`${path} is not a directory`);
}

/**
 * Returns `settings` with additions for a session in its own directory: file tools stay inside it, whatever rules and
 * modes allow; Claude's memory is kept there; and a sandbox denies commands the other sessions' directories.
 */
export function settingsWithin({ root, path }: OwnDirectory, settings: Settings, autoMemory: boolean): Settings {
  const { permissions, sandbox } = settings;
  return {
    crossSessionInbound: "refuse",
    // By default, Claude Code uses one memory folder for the whole repository around the directory.
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
