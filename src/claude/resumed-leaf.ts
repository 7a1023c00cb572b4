import { open } from "node:fs/promises";
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { lookBack, type TranscriptEntry } from "./transcript-tail.ts";

/*
 * A transcript is a tree. Claude Code resumes the branch with the message that the last `last-prompt` entry names, and
 * writes that entry at an orderly end. A killed process leaves an earlier process's entry behind, which may name a
 * message on an abandoned branch: a resume then omits everything since, and cannot be cut back to any of it.
 */

/** The entry to append to a transcript whose last `last-prompt` entry is older than its last message. */
export type LeafEntry = TranscriptEntry & { readonly type: "last-prompt"; readonly leafUuid: string };

/** Examines entries from the last one backwards. Returns `"none"` or the entry to append as soon as that is known. */
function leafSearch(): (entry: TranscriptEntry) => LeafEntry | "none" | undefined {
  let leafUuid: string | undefined;
  return (entry) => {
    if (entry["type"] === "last-prompt")
      return leafUuid === undefined ? "none" : { ...entry, type: "last-prompt", leafUuid };
    if (leafUuid === undefined && isSaid(entry)) leafUuid = String(entry["uuid"]);
    return undefined;
  };
}

/** Returns the entry that names a transcript's last message, if it is needed. @throws Error of the file system */
export async function staleLeafOf(file: string): Promise<LeafEntry | undefined> {
  const found = await lookBack(file, leafSearch);
  return found === "none" ? undefined : found;
}

/**
 * Appends that entry to a transcript if it is needed. Nobody may write to the transcript meanwhile.
 *
 * @throws Error of the file system
 */
export async function nameLeaf(file: string): Promise<void> {
  const entry = await staleLeafOf(file);
  if (entry === undefined) return;
  // A killed process may have left an incomplete line.
  const handle = await open(file, "a+");
  try {
    const { size } = await handle.stat();
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    await handle.appendFile(`${buffer.toString() === "\n" ? "" : "\n"}${JSON.stringify(entry)}\n`);
  } finally {
    await handle.close();
  }
}

/** Does the same for the entries of a session store. */
export function withNamedLeaf(entries: readonly SessionStoreEntry[]): SessionStoreEntry[] {
  const search = leafSearch();
  for (const entry of entries.toReversed()) {
    const found = search(entry);
    if (found !== undefined) return found === "none" ? [...entries] : [...entries, found];
  }
  return [...entries];
}

/** Whether an entry is part of the conversation itself rather than a subagent's. */
function isSaid({ type, uuid, isSidechain }: TranscriptEntry): boolean {
  return (type === "user" || type === "assistant") && typeof uuid === "string" && isSidechain !== true;
}
