import type { JsonObject } from "./session-entry.ts";

/**
 * A conversation that a session has left, or a place that its transcripts were in. They may still be there, so that whoever erases
 * the session has to know.
 */
export interface ConversationEntry {
  /** The canonical form of the name of the session. */
  readonly session: string;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  /** What the session remembered of it when it left. JSON; the journal keeps it and does not look into it. */
  readonly memory: JsonObject;
  /** In milliseconds since the epoch. */
  readonly leftAt: number;
}
