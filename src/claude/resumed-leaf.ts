import { open } from "node:fs/promises";
import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { lookBack, type TranscriptEntry } from "./transcript-tail.ts";

/*
 * A transcript is a tree. Claude Code resumes the branch of the message that the last `last-prompt` entry names, and writes such an
 * entry when it ends in order. A process that is killed leaves that of an earlier process behind, which may name a message of a branch
 * that was cut off: a resume then leaves out all that was said since, and finds none of it to cut back to.
 */

/** What is to be appended to a transcript whose last `last-prompt` is older than its last message; nothing if there is no need. */
export type LeafEntry = TranscriptEntry & { readonly type: "last-prompt"; readonly leafUuid: string };

/** Looks at entries from the last one back. Says `"none"`, or what is to be appended, as soon as that is known. */
function leafSearch(): (entry: TranscriptEntry) => LeafEntry | "none" | undefined {
  let leafUuid: string | undefined;
  return (entry) => {
    if (entry["type"] === "last-prompt")
      return leafUuid === undefined ? "none" : { ...entry, type: "last-prompt", leafUuid };
    if (leafUuid === undefined && isSaid(entry)) leafUuid = String(entry["uuid"]);
    return undefined;
  };
}

/** The entry that names the last message of a transcript anew, if that is needed. @throws Error of the file system */
export async function staleLeafOf(file: string): Promise<LeafEntry | undefined> {
  const found = await lookBack(file, leafSearch);
  return found === "none" ? undefined : found;
}

/** Names the last message of a transcript anew, if that is needed. Nobody may write it meanwhile. @throws Error of the file system */
export async function nameLeaf(file: string): Promise<void> {
  const entry = await staleLeafOf(file);
  if (entry === undefined) return;
  // A process that was killed may have left half a line.
  const handle = await open(file, "a+");
  try {
    const { size } = await handle.stat();
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    await handle.appendFile(`${buffer.toString() === "\n" ? "" : "\n"}${JSON.stringify(entry)}\n`);
  } finally {
    await handle.close();
  }
}

/** The same for entries that a session store has. */
export function withNamedLeaf(entries: readonly SessionStoreEntry[]): SessionStoreEntry[] {
  const search = leafSearch();
  for (const entry of entries.toReversed()) {
    const found = search(entry);
    if (found !== undefined) return found === "none" ? [...entries] : [...entries, found];
  }
  return [...entries];
}

/** Whether it was said in the conversation itself, not by a subagent. */
function isSaid({ type, uuid, isSidechain }: TranscriptEntry): boolean {
  return (type === "user" || type === "assistant") && typeof uuid === "string" && isSidechain !== true;
}
