import type { Change } from "../../journal/model/change.ts";
import type { SavedSession } from "../../journal/model/session-entry.ts";
import type { LeftConversation, SessionMemory } from "../conversation/session-memory.ts";
import { jsonOf } from "../streams/turn-end.ts";

/** Returns the change that saves what a session remembers. @param savedAt in milliseconds since the epoch */
export function sessionSaved(
  { key, supervisor }: Pick<SavedSession, "key" | "supervisor">,
  memory: SessionMemory,
  savedAt: number,
): Change {
  const conversationId = memory.conversation.id;
  return { type: "session_saved", session: { key, supervisor, conversationId, memory, savedAt } };
}

/** Returns the change that keeps a conversation that a session has left. @param leftAt in milliseconds since the epoch */
export function conversationLeft(session: string, { id, ...where }: LeftConversation, leftAt: number): Change {
  const conversation = { session, conversationId: id, memory: jsonOf(where), leftAt };
  return { type: "conversation_left", conversation };
}
