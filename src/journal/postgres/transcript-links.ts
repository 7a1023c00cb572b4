import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/**
 * A transcript whose entries all hang together. Claude Code goes from the last entry to its parent, and so on: where one is missing, all
 * before it would be forgotten, although it is there. What has lost its parent is hung on to what stands before it; a tool's result
 * without its call, which the API refuses, is left out.
 */
export function linked(entries: SessionStoreEntry[]): SessionStoreEntry[] {
  const ids = new Set(entries.map(({ uuid }) => uuid));
  const isLost = (parent: unknown): boolean => typeof parent === "string" && !ids.has(parent);
  if (!entries.some((entry) => isLost(entry["parentUuid"]))) return entries;
  const calls = new Set(
    entries.flatMap((entry) => blocksOf(entry).map(({ type, id }) => (type === "tool_use" ? id : ""))),
  );
  /** What was left out, and what its children hang on to. */
  const leftOut = new Map<unknown, unknown>();
  const whole: SessionStoreEntry[] = [];
  let before: unknown = null;
  for (const entry of entries) {
    if (!("parentUuid" in entry)) {
      whole.push(entry);
      continue;
    }
    const { parentUuid: own } = entry;
    const parent = isLost(own) ? before : leftOut.has(own) ? leftOut.get(own) : own;
    const orphaned = blocksOf(entry).some(({ type, tool_use_id: id }) => type === "tool_result" && !calls.has(id));
    if (orphaned) {
      leftOut.set(entry.uuid, parent);
      continue;
    }
    whole.push(parent === own ? entry : { ...entry, parentUuid: parent });
    before = entry.uuid ?? before;
  }
  return whole;
}

interface Block {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly tool_use_id?: unknown;
}

/** The content of what was said, as far as it has blocks. */
function blocksOf({ message }: SessionStoreEntry): readonly Block[] {
  if (typeof message !== "object" || message === null || !("content" in message)) return [];
  const { content } = message;
  return Array.isArray(content) ? content.filter((block) => typeof block === "object" && block !== null) : [];
}
