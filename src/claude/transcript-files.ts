import { createReadStream } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { createInterface } from "node:readline";
import { positionOf } from "./transcript-search.ts";

/* The transcripts of a conversation on this machine: `<id>.jsonl`, and those of its subagents in the folder `<id>`. */

/** A transcript in a file. */
export interface TranscriptFile {
  /** Identifies the subagent, as in the keys of a session store. Left out for the conversation's own. */
  readonly subpath?: string;
  readonly path: string;
}

/** Some lines of a transcript, each with its line feed. */
export interface TranscriptLines {
  readonly lines: string;
  /** The `uuid` of the last entry that has one. */
  readonly lastUuid?: string;
}

/** The size of the pieces in which lines are read, in characters. A longer line is a piece of its own. */
const PIECE = 256 * 1_024;

/** What Claude Code writes for its own diagnosis. It leaves that out of what a session store receives. */
const DIAGNOSTIC = "api-request";

const EXTENSION = ".jsonl";
const DESCRIPTION = ".meta.json";

/** Returns where a transcript is, given the conversation's own. */
export function transcriptFile(main: string, subpath: string | undefined): string {
  return subpath === undefined ? main : `${join(companionsOf(main), ...subpath.split("/"))}${EXTENSION}`;
}

/** Returns the file with the description of a subagent, which a session store has as an entry of its transcript. */
export function descriptionFile(main: string, subpath: string): string {
  return `${transcriptFile(main, subpath).slice(0, -EXTENSION.length)}${DESCRIPTION}`;
}

/** Returns the conversation's transcript, which exists, and those of its subagents. */
export async function transcriptFiles(main: string): Promise<TranscriptFile[]> {
  const folder = companionsOf(main);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const subagents = entries.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !path.endsWith(EXTENSION)) return [];
    return [{ subpath: relative(folder, path).slice(0, -EXTENSION.length).split(sep).join("/"), path }];
  });
  return [{ path: main }, ...subagents];
}

/**
 * Yields the complete lines of a transcript, or those after a message; none if it lacks that message.
 *
 * @throws Error of the file system
 */
export async function* linesAfter(
  path: string,
  lastUuid: string | undefined,
): AsyncGenerator<TranscriptLines, void, undefined> {
  const start = lastUuid === undefined ? 0 : await positionOf(path, [lastUuid]);
  if (start === undefined) return;
  let [lines, last]: [string, string | undefined] = ["", undefined];
  // Read from within a line, the first line is a part of it.
  let isPart = lastUuid !== undefined;
  for await (const line of createInterface({ input: createReadStream(path, { start, encoding: "utf8" }) })) {
    const entry = isPart ? undefined : parsed(line);
    isPart = false;
    if (entry === undefined || String(entry["type"]).startsWith(DIAGNOSTIC)) continue;
    lines += `${line}\n`;
    if (typeof entry["uuid"] === "string") last = entry["uuid"];
    if (lines.length < PIECE) continue;
    yield { lines, ...(last !== undefined && { lastUuid: last }) };
    [lines, last] = ["", undefined];
  }
  if (lines !== "") yield { lines, ...(last !== undefined && { lastUuid: last }) };
}

/** Returns the description of a subagent as a line of its transcript, or undefined. */
export async function descriptionLine(main: string, subpath: string): Promise<string | undefined> {
  const text = await readFile(descriptionFile(main, subpath), "utf8").catch(() => "");
  const description = parsed(text);
  return description && `${JSON.stringify({ type: DESCRIPTION_TYPE, ...description })}\n`;
}

/** The type of a line that describes a subagent. Claude Code keeps it in a file of its own. */
export const DESCRIPTION_TYPE = "agent_metadata";

/** A killed process may have left an incomplete line. */
function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "object" && entry !== null ? { ...entry } : undefined;
  } catch {
    return undefined;
  }
}

function companionsOf(main: string): string {
  return main.slice(0, -EXTENSION.length);
}
