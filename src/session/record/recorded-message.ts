import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { isPiece } from "../../claude/messages/deltas.ts";
import { withoutUndefined } from "../../fields.ts";
import type { EventDraft, EventJson } from "./session-event-types.ts";

/** Returns the event of a message of the Agent SDK, for `recordMessages`. Pieces of messages have none. */
export function recordedMessage(message: SDKMessage, turnId: string | undefined): EventDraft[] {
  if (isPiece(message)) return [];
  const read: object = message;
  // The SDK has read it from JSON.
  return [{ type: "message_recorded", raw: read as EventJson, ...withoutUndefined({ turnId }) }];
}
