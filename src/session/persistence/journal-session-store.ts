import type { SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { withWholeCompactions } from "../../claude/half-compaction.ts";
import { withNamedLeaf } from "../../claude/resumed-leaf.ts";
import type { MirrorTranscript } from "../../claude/transcript-mirror.ts";
import { withoutUndefined } from "../../fields.ts";
import type { TranscriptKey } from "../../journal/model/transcript-entry.ts";
import { entriesIn, hasLostParent, relinked } from "../../journal/model/transcript-links.ts";

/** Where the transcripts of a session are. */
export interface JournaledTranscripts {
  readonly append: MirrorTranscript;
  lines(key: TranscriptKey): AsyncIterable<string>;
  subpaths(conversationId: string): Promise<string[]>;
}

/** Returns the transcripts in the journal as a session store. The keys of projects have no meaning: ids are unique. */
export function journalSessionStore(transcripts: JournaledTranscripts): SessionStore {
  return {
    append: async ({ sessionId, subpath }, entries) => {
      transcripts.append({ conversationId: sessionId, ...withoutUndefined({ subpath }) }, entries);
    },
    load: async ({ sessionId, subpath }) => {
      const entries: SessionStoreEntry[] = [];
      const lines = transcripts.lines({ conversationId: sessionId, ...withoutUndefined({ subpath }) });
      for await (const part of lines) entries.push(...entriesIn(part));
      if (entries.length === 0) return null;
      return subpath === undefined ? withNamedLeaf(withWholeCompactions(relinked(entries))) : relinked(entries);
    },
    listSubkeys: ({ sessionId }) => transcripts.subpaths(sessionId),
  };
}

/**
 * Returns the lines of a transcript as one connected chain, see {@link relinked}: a database that failed over may lack
 * parts in the middle.
 */
export async function linkedLines(lines: () => AsyncIterable<string>): Promise<AsyncIterable<string>> {
  if (!(await hasLostParent(lines()))) return lines();
  return (async function* () {
    const entries: SessionStoreEntry[] = [];
    for await (const part of lines()) entries.push(...entriesIn(part));
    for (const entry of relinked(entries)) yield `${JSON.stringify(entry)}\n`;
  })();
}
