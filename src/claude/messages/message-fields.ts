import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { toolUsesOf } from "./tools.ts";

/** Returns the fields of `message` that a log line shows: its type, the tools it calls, and, with `content`, its text. */
export function messageFields(message: SDKMessage, content: boolean): Readonly<Record<string, unknown>> {
  const tools = toolUsesOf(message).map(({ name }) => name);
  const text = textOf(message);
  return {
    type: message.type,
    ...("subtype" in message ? { subtype: message.subtype } : {}),
    ...(tools.length === 0 ? {} : { tools }),
    ...(content && text !== "" ? { text } : {}),
  };
}

/** Returns the text of a message without tool inputs and outputs. */
function textOf(message: SDKMessage): string {
  if (message.type === "result") return message.subtype === "success" ? message.result : "";
  if (message.type === "stream_event") {
    const { event } = message;
    return event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : "";
  }
  if (message.type !== "assistant" && message.type !== "user") return "";
  const { content } = message.message;
  if (typeof content === "string") return content;
  return content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
}
