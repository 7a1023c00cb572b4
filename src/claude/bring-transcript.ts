import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { type TranscriptLocation, transcriptAt, transcriptFolderOf } from "./transcript-location.ts";

/** What was done for the next process of a conversation to find it. */
export type Bringing =
  /** Nothing: it finds the transcript, and none that is further. */
  | "in_place"
  /** Its transcript, and what belongs to it, has been copied to where it looks. */
  | "copied"
  /** Nothing: neither place has a transcript that could be found. */
  | "missing"
  /** Nothing: both places have one, and each has something that the other lacks. The next process finds its own. */
  | "diverged";

/**
 * Sees to it that a process at `to` finds a conversation that was last used by one at `from`. With the same directory of
 * Claude Code's own it does so by itself, whatever the working directories; then nothing is copied, since Claude Code
 * gives up where it finds two.
 *
 * A transcript only ever grows. One that is in the way is replaced if it is the beginning of the other. No process may
 * have the conversation meanwhile.
 *
 * @throws Error of the file system; then no transcript has been changed
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
    // What files were like before Claude changed them, for `rewindFiles`.
    await copyFolder(join(from.config, "file-history", id), join(to.config, "file-history", id));
  }
  // Last, so that where there is a transcript all of it is there.
  await copyWhole(source, target);
  return "copied";
}

/** The folder of what belongs to a transcript: those of subagents, and results of tools that were too long for it. */
function companions(transcript: string): string {
  return transcript.slice(0, -".jsonl".length);
}

function beginsWith(whole: Buffer, part: Buffer): boolean {
  return whole.length >= part.length && whole.subarray(0, part.length).equals(part);
}

/** Copies what is not there, or is there in part. */
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

/** In bytes; -1 if there is no such file. */
async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (isMissing(error)) return -1;
    throw error;
  }
}

/** Copies a file so that at no moment, not even if the power fails, a part of it stands in its place. */
async function copyWhole(source: string, target: string): Promise<void> {
  const part = `${target}.part`;
  // Readable by nobody else, as Claude Code makes its own.
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
