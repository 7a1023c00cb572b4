import type { JsonObject } from "./session-entry.ts";

/**
 * A conversation that a session has left, or a location that its transcripts were in. Transcripts may still be there,
 * so erasing the session has to look.
 */
export interface ConversationEntry {
  /** Canonical name of the session. */
  readonly session: string;
  /** Claude's session id of the conversation. */
  readonly conversationId: string;
  /** What the session remembered of the conversation when it left. Opaque JSON. */
  readonly memory: JsonObject;
  /** In milliseconds since the epoch. */
  readonly leftAt: number;
}
