import { truncate } from "node:fs/promises";
import { lookBack, type TranscriptEntry } from "./transcript-tail.ts";

/** What Claude Code writes between the two is far less than this, in bytes. */
const FARTHEST = 8 * 1_024 * 1_024;

/**
 * Where a compaction begins in a transcript, in bytes, that Claude Code had begun to write when it died: it writes a boundary first, at
 * which a resume leaves out what was said before, and then the summary that stands for that. `undefined` if there is none.
 *
 * @throws Error of the file system
 */
export async function halfCompactionAt(file: string): Promise<number | undefined> {
  // A boundary that is met before an answer or a summary.
  const look = (entry: TranscriptEntry, at: number): number | "none" | undefined => {
    if (entry["type"] === "assistant" || entry["isCompactSummary"] === true) return "none";
    return entry["type"] === "system" && entry["subtype"] === "compact_boundary" ? at : undefined;
  };
  const found = await lookBack(file, () => look, FARTHEST);
  return found === "none" ? undefined : found;
}

/** Takes a compaction out of a transcript that was written by half. Nobody may write it meanwhile. @throws Error of the file system */
export async function removeHalfCompaction(file: string): Promise<void> {
  const at = await halfCompactionAt(file);
  if (at !== undefined) await truncate(file, at);
}
