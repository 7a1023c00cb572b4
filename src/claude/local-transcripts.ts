import { readFile } from "node:fs/promises";
import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { isTemporary } from "./passing-fault.ts";
import { findTranscript, type TranscriptLocation } from "./transcript-location.ts";

/**
 * A read-only store of the transcripts that Claude Code keeps on this machine. The SDK's own functions use the host's
 * environment, which may name another directory, and do not search other project folders, where Claude Code finds
 * conversations that began elsewhere or moved to a worktree.
 */
export function localTranscripts({ config }: TranscriptLocation): SessionStore {
  return {
    append: () => Promise.reject(new Error("these transcripts belong to Claude Code and are read-only")),
    load: async ({ projectKey, sessionId, subpath }: SessionKey) => {
      const main = await findTranscript(sessionId, config, projectKey);
      if (main === undefined) return null;
      const file = subpath === undefined ? main : `${main.slice(0, -".jsonl".length)}/${subpath}.jsonl`;
      const text = await readFile(file, "utf8").catch((error: unknown) => {
        // A temporary read failure does not mean that the transcript is empty.
        if (isTemporary(error)) throw error;
        return undefined;
      });
      return text === undefined ? null : text.split("\n").flatMap(entryOf);
    },
  };
}

/** A killed process may have left an incomplete last line. */
function entryOf(line: string): SessionStoreEntry[] {
  try {
    return line === "" ? [] : [JSON.parse(line) as SessionStoreEntry];
  } catch {
    return [];
  }
}
