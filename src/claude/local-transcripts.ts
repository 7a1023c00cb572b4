import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/**
 * The transcripts that Claude Code keeps on this machine, for a process with this environment. The SDK's own functions look
 * where the host's environment says, which need not be the same place.
 */
export function localTranscripts(environment: Readonly<Record<string, string | undefined>>): SessionStore {
  const home = environment["HOME"] ?? homedir();
  const folder = join(environment["CLAUDE_CONFIG_DIR"] ?? join(home, ".claude"), "projects");
  return {
    append: () => Promise.reject(new Error("these transcripts are Claude Code's own and are only read")),
    load: async ({ projectKey, sessionId, subpath }: SessionKey) => {
      const file = subpath === undefined ? `${sessionId}.jsonl` : join(sessionId, `${subpath}.jsonl`);
      const text = await readFile(join(folder, projectKey, file), "utf8").catch(() => undefined);
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
