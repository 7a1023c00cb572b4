import type { SessionMessage } from "@anthropic-ai/claude-agent-sdk";
import { readTranscript, type TranscriptSource } from "../../claude/transcripts.ts";
import type { Conversation } from "./conversation.ts";

/** Which part of a transcript to return. */
export interface TranscriptOptions {
  /** How many messages at most. Default: all. */
  readonly limit?: number;
  /** How many messages to skip from the beginning. Default 0. */
  readonly offset?: number;
}

/**
 * Returns the messages that the next process will remember, oldest first: those of its source for a pending fork, and none behind a
 * pending cut.
 */
export async function rememberedMessages(
  conversation: Conversation,
  source: TranscriptSource,
  { limit, offset = 0 }: TranscriptOptions,
): Promise<SessionMessage[]> {
  const { id, at } = resumedFrom(conversation);
  const messages = await readTranscript(id, source, at);
  return messages.slice(offset, limit === undefined ? undefined : offset + limit);
}

/**
 * Returns all messages in the transcript of a conversation, oldest first, also those behind a pending cut: a turn may have run again
 * there that the session does not know of.
 */
export async function allMessages(conversation: Conversation, source: TranscriptSource): Promise<SessionMessage[]> {
  return await readTranscript(resumedFrom(conversation).id, source);
}

function resumedFrom(conversation: Conversation): { readonly id: string; readonly at?: string | undefined } {
  if (conversation.kind === "fork") return { id: conversation.fork.from, at: conversation.fork.at };
  const { id } = conversation;
  return conversation.kind === "kept" && conversation.cut ? { id, at: conversation.lastUuid } : { id };
}
