import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { forkSession, type SessionStore, type SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { localTranscripts } from "./local-transcripts.ts";
import { type TranscriptLocation, transcriptFolderOf } from "./transcript-location.ts";

/**
 * Makes another conversation of what was said in one up to the message with the id `upTo`, as it was said. A process that resumes
 * the one itself would not find that message, if a compaction came after it, but only the summary.
 *
 * @param transcripts where they are: the files of a process at that place, or a session store
 * @returns the id of the other one
 * @throws Error if the message is not there, or the copy cannot be written
 */
export async function copyConversation(
  id: string,
  upTo: string,
  transcripts: TranscriptLocation | { readonly cwd: string; readonly store: SessionStore },
): Promise<string> {
  const { cwd: dir } = transcripts;
  if ("store" in transcripts) {
    return (await forkSession(id, { dir, upToMessageId: upTo, sessionStore: transcripts.store })).sessionId;
  }
  // The SDK's own files are where the host's environment says.
  const entries: SessionStoreEntry[] = [];
  const append = async (_: unknown, more: readonly SessionStoreEntry[]): Promise<void> => void entries.push(...more);
  const sessionStore = { ...localTranscripts(transcripts), append };
  const { sessionId } = await forkSession(id, { dir, upToMessageId: upTo, sessionStore });
  await writeWhole(await transcriptFolderOf(transcripts), `${sessionId}.jsonl`, entries);
  return sessionId;
}

/** So that at no moment a part of it stands in its place; readable by nobody else, as Claude Code makes its own. */
async function writeWhole(folder: string, name: string, entries: readonly SessionStoreEntry[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const part = join(folder, `${name}.part`);
  try {
    const file = await open(part, "wx", 0o600);
    try {
      for (const entry of entries) await file.write(`${JSON.stringify(entry)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, join(folder, name));
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
