import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { agentSdk } from "../agent-sdk.ts";
import { localTranscripts } from "./local-transcripts.ts";
import { type TranscriptLocation, transcriptFolderOf } from "./transcript-location.ts";

/**
 * Copies a conversation up to the message `upTo` to a new conversation. Needed if a compaction followed that message: a
 * process that resumed the original would only find the summary.
 *
 * @param transcripts the location of the transcripts: a process's files, or a session store
 * @returns the id of the copy
 * @throws Error if the message does not exist, or the copy cannot be written
 */
export async function copyConversation(
  id: string,
  upTo: string,
  transcripts: TranscriptLocation | { readonly cwd: string; readonly store: SessionStore },
): Promise<string> {
  const { cwd: dir } = transcripts;
  const { forkSession } = await agentSdk();
  if ("store" in transcripts) {
    return (await forkSession(id, { dir, upToMessageId: upTo, sessionStore: transcripts.store })).sessionId;
  }
  // The SDK's own functions use the host's environment.
  const entries: SessionStoreEntry[] = [];
  const append = async (_: unknown, more: readonly SessionStoreEntry[]): Promise<void> => void entries.push(...more);
  const sessionStore = { ...localTranscripts(transcripts), append };
  const { sessionId } = await forkSession(id, { dir, upToMessageId: upTo, sessionStore });
  await writeWhole(await transcriptFolderOf(transcripts), `${sessionId}.jsonl`, entries);
  return sessionId;
}

/** Writes a file atomically, readable by the owner only, as Claude Code creates its own. */
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
