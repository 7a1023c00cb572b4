import type { SessionStore } from "@anthropic-ai/claude-agent-sdk";

/** Identifies a transcript: that of a conversation, or of a subagent in it. */
export interface TranscriptKey {
  /** Claude's session id. */
  readonly conversationId: string;
  /** Identifies the subagent, as in the keys of the Agent SDK's `SessionStore`. Left out for the conversation's own. */
  readonly subpath?: string;
}

/** A part of a transcript: entries that were written at once. */
export interface TranscriptPart extends TranscriptKey {
  /** Canonical name of the session whose process wrote it. The transcript belongs to the session of the last part. */
  readonly session: string;
  /** Its entries as JSON, one per line, each with its line feed. */
  readonly lines: string;
  /** The `uuid` of the last entry that has one. */
  readonly lastUuid?: string;
}

/** What is known of a stored transcript without reading it. */
export interface TranscriptHead extends TranscriptKey {
  /** Canonical name of the session that the transcript belongs to. */
  readonly session: string;
  /** The `uuid` of the last entry that has one. */
  readonly lastUuid?: string;
}

/** The transcripts in a journal, as Claude Code has written them. */
export interface TranscriptStore {
  /** Returns the transcripts of a conversation: its own, if there is one, and then those of its subagents. */
  of(conversationId: string): Promise<TranscriptHead[]>;
  /** Returns the transcripts that belong to a session, in any order. */
  writtenBy(session: string): Promise<TranscriptHead[]>;
  /**
   * Yields the lines of a transcript in order, part by part; nothing if there is none. Reads in pages, so that few
   * parts are in memory.
   *
   * @throws CastellanError `JOURNAL_UNAVAILABLE` with the reason `damaged` at a damaged part
   */
  lines(key: TranscriptKey): AsyncIterable<string>;
}

/** Transcripts in a journal whose earlier releases kept them elsewhere. */
export interface SucceedingTranscripts extends TranscriptStore {
  /** What is still there. A transcript is taken in when its session is first used. */
  readonly former: FormerTranscripts;
}

/** The parts of a session store that a journal needs to take in its transcripts. */
export type FormerTranscripts = Required<Pick<SessionStore, "load" | "listSubkeys" | "delete">>;

/** Returns the place where earlier releases kept the transcripts, or undefined. */
export function formerOf(store: TranscriptStore | undefined): FormerTranscripts | undefined {
  return store !== undefined && "former" in store ? (store as SucceedingTranscripts).former : undefined;
}

/** How many parts to read at a time. */
export const PARTS_PAGE = 16;
