import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/** The environment of a case. */
export interface StoreBench {
  readonly store: SessionStore;
  /** Unique per case. */
  readonly projectKey: string;
  /** Returns the key of a transcript in this project. */
  key(sessionId: string, subpath?: string): SessionKey;
  /** Appends batches one after the other. */
  write(key: SessionKey, ...batches: readonly SessionStoreEntry[][]): Promise<void>;
}

/** The optional methods of a `SessionStore`. */
export type OptionalStoreMethod = "listSessions" | "listSessionSummaries" | "delete" | "listSubkeys";
/** A case for stores that have all methods in `needs`. */
export interface StoreCase {
  readonly name: string;
  readonly needs?: readonly OptionalStoreMethod[];
  check(bench: StoreBench): Promise<void>;
}
