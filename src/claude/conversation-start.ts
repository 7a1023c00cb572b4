import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** How a process begins its conversation. Conversation ids are UUIDs. */
export type ConversationStart =
  /** A conversation that Claude Code does not know yet. */
  | { readonly kind: "new"; readonly id: string }
  /** A conversation with a transcript, optionally cut back to the message `at`. */
  | { readonly kind: "resume"; readonly id: string; readonly at?: string | undefined }
  /** A new conversation, `id`, that copies `from`, optionally up to the message `at`. */
  | { readonly kind: "fork"; readonly id: string; readonly from: string; readonly at?: string | undefined };

/** Returns the SDK's options for it. */
export function conversationOptions(
  start: ConversationStart,
): Pick<SdkOptions, "sessionId" | "resume" | "resumeSessionAt" | "forkSession"> {
  switch (start.kind) {
    case "new":
      return { sessionId: start.id };
    case "resume":
      return { resume: start.id, ...cutAt(start.at) };
    case "fork":
      return { resume: start.from, forkSession: true, sessionId: start.id, ...cutAt(start.at) };
  }
}

function cutAt(uuid: string | undefined): Pick<SdkOptions, "resumeSessionAt"> {
  return uuid === undefined ? {} : { resumeSessionAt: uuid };
}
