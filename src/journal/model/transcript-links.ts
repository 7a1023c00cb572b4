import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/**
 * Returns the entries as one connected chain. Claude Code follows `parentUuid` from the last entry; a missing parent
 * would hide everything before it. An entry whose parent is missing gets the entry before it as its parent. A tool
 * result without its call is left out: the API rejects it.
 */
export function relinked(entries: SessionStoreEntry[]): SessionStoreEntry[] {
  const ids = new Set(entries.map(({ uuid }) => uuid));
  const isLost = (parent: unknown): boolean => typeof parent === "string" && !ids.has(parent);
  if (!entries.some((entry) => isLost(entry["parentUuid"]))) return entries;
  const calls = new Set(
    entries.flatMap((entry) => blocksOf(entry).map(({ type, id }) => (type === "tool_use" ? id : ""))),
  );
  /** The parents of entries that were left out. */
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

/** Returns the content blocks of an entry. */
function blocksOf({ message }: SessionStoreEntry): readonly Block[] {
  if (typeof message !== "object" || message === null || !("content" in message)) return [];
  const { content } = message;
  return Array.isArray(content) ? content.filter((block) => typeof block === "object" && block !== null) : [];
}

/** Whether an entry's parent is missing, given the lines of a transcript. */
export async function hasLostParent(lines: AsyncIterable<string>): Promise<boolean> {
  const ids = new Set<unknown>();
  const parents = new Set<unknown>();
  for await (const part of lines) {
    for (const { uuid, parentUuid } of entriesIn(part)) {
      ids.add(uuid);
      if (typeof parentUuid === "string" && !ids.has(parentUuid)) parents.add(parentUuid);
    }
  }
  return !parents.isSubsetOf(ids);
}

/** Returns the entries in some lines of a transcript. */
export function entriesIn(lines: string): SessionStoreEntry[] {
  return lines.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as SessionStoreEntry]));
}
