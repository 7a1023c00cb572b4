/** What a session needs to continue its conversation after a restart of the application. */
export interface SavedSession {
  /** Canonical name: JSON of the string or tuple. */
  readonly key: string;
  /** Name of the root supervisor. */
  readonly supervisor: string;
  /** Claude's session id of the conversation. */
  readonly conversationId: string;
  /** What the session remembers of the conversation: plain data, which the journal keeps as JSON. */
  readonly memory: object;
  /** When this was written, in milliseconds since the epoch. */
  readonly savedAt: number;
}

/** A session in the journal. */
export interface SessionEntry extends Omit<SavedSession, "memory"> {
  /** What the session remembers of the conversation. Opaque JSON. */
  readonly memory: JsonObject;
  /** Left out if nothing describes the session. */
  readonly description?: SessionDescription;
}

/** What a session is known by in lists. Times are in milliseconds since the epoch. */
export interface SessionDescription {
  /** When the session was first used, as far as that is known. */
  readonly createdAt?: number;
  readonly title?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** When the session was archived, if it is. */
  readonly archivedAt?: number;
  /** What the session remembers of its description. Opaque JSON. */
  readonly memory?: JsonObject;
}

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}
