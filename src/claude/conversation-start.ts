import type { Options as SdkOptions } from "@anthropic-ai/claude-agent-sdk";

/** Which conversation a process is to begin with. Conversation ids are UUIDs. */
export type ConversationStart =
  /** One that Claude Code has not seen yet. */
  | { readonly kind: "new"; readonly id: string }
  /** One that has a transcript, optionally cut back to the message `at`. */
  | { readonly kind: "resume"; readonly id: string; readonly at?: string | undefined }
  /** A new one, `id`, that begins with what `from` remembers, optionally up to the message `at`. */
  | { readonly kind: "fork"; readonly id: string; readonly from: string; readonly at?: string | undefined };

/** The SDK's options for it. */
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
