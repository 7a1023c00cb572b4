/** A session as the journal knows it: what it needs to go on with its conversation after a restart of the application. */
export interface SessionEntry {
  /** The canonical form of its name: JSON of the string or of the tuple. */
  readonly key: string;
  /** The name of the supervisor at the root of the tree that it is in. */
  readonly supervisor: string;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  /** What the session itself has to remember of the conversation. JSON; the journal keeps it and does not look into it. */
  readonly memory: JsonObject;
  /** When this was written, in milliseconds since the epoch. */
  readonly savedAt: number;
}

/** What JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}
