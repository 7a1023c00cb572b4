import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type TranscriptLocation, transcriptAt, transcriptFolderOf } from "./transcript-location.ts";

/** The outcome of moving a transcript to where the next process looks for it. */
export type Bringing =
  /** Nothing to do: the process finds the transcript, and no longer one exists. */
  | "in_place"
  /** The transcript and its companions were copied. */
  | "copied"
  /** Nothing to do: neither location has a transcript. */
  | "missing"
  /**
   * Nothing done: both locations have a transcript with entries that the other lacks. The next process finds its own.
   */
  | "diverged";

/**
 * Makes a conversation that was last used at `from` available to a process at `to`. Within one Claude configuration
 * directory, Claude Code finds it itself, whatever the working directories; nothing is copied then, because Claude Code
 * gives up if it finds two.
 *
 * Transcripts only grow, so an existing transcript at `to` is replaced if it is a prefix of the other. No process may
 * use the conversation meanwhile.
 *
 * @throws Error of the file system; no transcript has then been changed
 */
export async function bringTranscript(id: string, from: TranscriptLocation, to: TranscriptLocation): Promise<Bringing> {
  const [source, present] = await Promise.all([transcriptAt(id, from), transcriptAt(id, to)]);
  if (source === undefined) return present === undefined ? "missing" : "in_place";
  if (present !== undefined) {
    const [there, here] = source === present ? [] : await Promise.all([readFile(source), readFile(present)]);
    if (there === undefined || here === undefined || beginsWith(here, there)) return "in_place";
    if (!beginsWith(there, here)) return "diverged";
  }
  const target = present ?? join(await transcriptFolderOf(to), `${id}.jsonl`);
  await copyFolder(companions(source), companions(target));
  if (from.config !== to.config) {
    // Earlier versions of files that Claude changed, for `rewindFiles`.
    await copyFolder(join(from.config, "file-history", id), join(to.config, "file-history", id));
  }
  // Copy it last, so that a transcript always has its companions.
  await copyWhole(source, target);
  return "copied";
}

/** The folder of a transcript's companions: subagents' transcripts and large tool results. */
function companions(transcript: string): string {
  return transcript.slice(0, -".jsonl".length);
}

function beginsWith(whole: Buffer, part: Buffer): boolean {
  return whole.length >= part.length && whole.subarray(0, part.length).equals(part);
}

/** Copies files that are missing or incomplete. */
async function copyFolder(source: string, target: string): Promise<void> {
  for (const file of await filesIn(source)) {
    const copy = join(target, relative(source, file));
    if ((await sizeOf(copy)) < (await sizeOf(file))) await copyWhole(file, copy);
  }
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Returns the size in bytes; -1 if there is no such file. */
async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return -1;
    throw error;
  }
}

/** Copies a file atomically, so that a power failure never leaves a part of it. */
async function copyWhole(source: string, target: string): Promise<void> {
  const part = `${target}.part`;
  // Readable by the owner only, as Claude Code creates its own.
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  try {
    await copyFile(source, part);
    const handle = await open(part, "r+");
    await handle.sync().finally(() => handle.close());
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
