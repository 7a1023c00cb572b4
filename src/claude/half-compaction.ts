import { truncate } from "node:fs/promises";
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
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

/**
 * Returns the entries of a transcript without half-written compactions. Claude Code writes a boundary first, at which a
 * resume drops the earlier messages, and then the summary that replaces them; if the host dies or the store fails, only
 * the boundary may exist. Nothing can be removed from a store, so entries written after an omitted boundary may follow
 * it.
 */
export function withWholeCompactions(entries: readonly SessionStoreEntry[]): SessionStoreEntry[] {
  const left = new Set<SessionStoreEntry>();
  for (const [at, entry] of entries.entries()) {
    if (isBoundary(entry)) for (const one of halfAt(entries, at)) left.add(one);
  }
  return left.size === 0 ? [...entries] : entries.filter((entry) => !left.has(entry));
}

/**
 * Returns the boundary at this position and the entries that continue from it, if there is neither a summary nor an
 * answer among them.
 */
function halfAt(entries: readonly SessionStoreEntry[], at: number): SessionStoreEntry[] {
  const boundary = entries[at];
  if (boundary?.uuid === undefined) return [];
  const known = new Set([boundary.uuid]);
  const half = [boundary];
  let isNext = false;
  for (const entry of entries.slice(at + 1)) {
    isNext ||= isBoundary(entry);
    const parent = entry["parentUuid"];
    const belongs = typeof parent === "string" && known.has(parent);
    if (entry["isCompactSummary"] === true && (belongs || !isNext)) return [];
    if (!belongs) continue;
    if (entry.type === "assistant") return [];
    if (entry.uuid !== undefined) known.add(entry.uuid);
    half.push(entry);
  }
  return half;
}

function isBoundary(entry: SessionStoreEntry): boolean {
  return entry.type === "system" && entry["subtype"] === "compact_boundary";
}
