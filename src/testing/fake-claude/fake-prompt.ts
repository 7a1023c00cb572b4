import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";

/** The text of a user message, its other parts left out. */
export function promptText(message: SDKUserMessage): string {
  const { content } = message.message;
  if (typeof content === "string") return content;
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}
