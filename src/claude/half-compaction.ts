import { truncate } from "node:fs/promises";
import { lookBack, type TranscriptEntry } from "./transcript-tail.ts";

/** The largest distance to search, in bytes. What Claude Code writes between boundary and summary is far smaller. */
const FARTHEST = 8 * 1_024 * 1_024;

/**
 * Returns the offset in bytes of a half-written compaction in a transcript, or undefined. Claude Code writes a boundary
 * first, at which a resume drops the earlier messages, and then the summary that replaces them; it may die in between.
 *
 * @throws Error of the file system
 */
export async function halfCompactionAt(file: string): Promise<number | undefined> {
  // A boundary that comes before any answer or summary is a half-written one.
  const look = (entry: TranscriptEntry, at: number): number | "none" | undefined => {
    if (entry["type"] === "assistant" || entry["isCompactSummary"] === true) return "none";
    return entry["type"] === "system" && entry["subtype"] === "compact_boundary" ? at : undefined;
  };
  const found = await lookBack(file, () => look, FARTHEST);
  return found === "none" ? undefined : found;
}

/**
 * Removes a half-written compaction from a transcript. Nobody may write to it meanwhile.
 *
 * @throws Error of the file system
 */
export async function removeHalfCompaction(file: string): Promise<void> {
  const at = await halfCompactionAt(file);
  if (at !== undefined) await truncate(file, at);
}
