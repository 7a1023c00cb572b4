import type { SessionKey, SessionStore, SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";

/** What a case works with. */
export interface StoreBench {
  readonly store: SessionStore;
  /** Unlike that of any other case. */
  readonly projectKey: string;
  /** The key of a transcript in it. */
  key(sessionId: string, subpath?: string): SessionKey;
  /** Appends entries, one call after the other. */
  write(key: SessionKey, ...batches: readonly SessionStoreEntry[][]): Promise<void>;
}

/** The methods that a `SessionStore` may have or not. */
export type OptionalStoreMethod = "listSessions" | "listSessionSummaries" | "delete" | "listSubkeys";
/** A case of stores that have all of these methods. */
export interface StoreCase {
  readonly name: string;
  readonly needs?: readonly OptionalStoreMethod[];
  check(bench: StoreBench): Promise<void>;
}
