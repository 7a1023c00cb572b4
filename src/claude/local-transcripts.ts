import { readFile } from "node:fs/promises";
import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { passes } from "./passing-fault.ts";
import { findTranscript, type TranscriptLocation } from "./transcript-location.ts";

/**
 * The transcripts that Claude Code keeps on this machine, for a process at `place`. The SDK's own functions look where the
 * host's environment says, which need not be the same place; and they do not look into other folders, where Claude Code
 * finds what was begun in another working directory, or has moved what it does in a worktree.
 */
export function localTranscripts({ config }: TranscriptLocation): SessionStore {
  return {
    append: () => Promise.reject(new Error("these transcripts are Claude Code's own and are only read")),
    load: async ({ projectKey, sessionId, subpath }: SessionKey) => {
      const main = await findTranscript(sessionId, config, projectKey);
      if (main === undefined) return null;
      const file = subpath === undefined ? main : `${main.slice(0, -".jsonl".length)}/${subpath}.jsonl`;
      const text = await readFile(file, "utf8").catch((error: unknown) => {
        // That it cannot be read now does not mean that nothing has been said.
        if (passes(error)) throw error;
        return undefined;
      });
      return text === undefined ? null : text.split("\n").flatMap(entryOf);
    },
  };
}

/** A process that was killed may have left half a line at the end. */
function entryOf(line: string): SessionStoreEntry[] {
  try {
    return line === "" ? [] : [JSON.parse(line) as SessionStoreEntry];
  } catch {
    return [];
  }
}
