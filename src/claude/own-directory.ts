import { lstat, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Settings } from "@anthropic-ai/claude-agent-sdk";
import { makeFolder } from "../journal/sqlite/sqlite-file.ts";

/** The working directory that a session has for itself, in a folder that it shares with others. Absolute, without symbolic links. */
export interface OwnDirectory {
  readonly root: string;
  readonly path: string;
}

/** The folder in it where Claude keeps what it remembers by itself. */
const MEMORY = ".memory";

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
