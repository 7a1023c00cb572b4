import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/**
 * The entries of a transcript without the compactions of which it has a part only. Claude Code writes a boundary first, at which a resume
 * leaves out what was said before, and then the summary that stands for that; a host that dies, or a store that fails, may leave the
 * boundary alone. Nothing can be taken out of a store, so that entries may follow that were said after such a boundary had been left out.
 */
export function withWholeCompactions(entries: readonly SessionStoreEntry[]): SessionStoreEntry[] {
  const left = new Set<SessionStoreEntry>();
  for (const [at, entry] of entries.entries()) {
    if (isBoundary(entry)) for (const one of halfAt(entries, at)) left.add(one);
  }
  return left.size === 0 ? [...entries] : entries.filter((entry) => !left.has(entry));
}

/** The boundary at this place, and what was written on from it, if that has neither a summary nor an answer. */
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
