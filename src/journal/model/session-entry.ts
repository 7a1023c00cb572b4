/** A session in the journal: what it needs to continue its conversation after a restart of the application. */
export interface SessionEntry {
  /** Canonical name: JSON of the string or tuple. */
  readonly key: string;
  /** Name of the root supervisor. */
  readonly supervisor: string;
  /** Claude's session id of the conversation. */
  readonly conversationId: string;
  /** What the session remembers of the conversation. Opaque JSON. */
  readonly memory: JsonObject;
  /** When this was written, in milliseconds since the epoch. */
  readonly savedAt: number;
}

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}
