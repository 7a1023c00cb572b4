import { randomUUID } from "node:crypto";
import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeUsage } from "./fake-costs.ts";
import type { FakeEcho } from "./fake-messages.ts";
import type { WireObject } from "./fake-wire.ts";

/** The built-in commands that the fake runs by itself, by name and alias. */
const BUILT_IN: { readonly [name: string]: "clear" | "compact" } = {
  clear: "clear",
  reset: "clear",
  new: "clear",
  compact: "compact",
};

/** Whether a message is literal text. */
export function isVerbatim({ client_composed }: SDKUserMessage): boolean {
  return client_composed === true;
}

/** The built-in command in a message, if the fake runs it by itself. */
export function builtInCommandIn(message: SDKUserMessage): "clear" | "compact" | undefined {
  const name = isVerbatim(message) ? undefined : /^\/(\S+)/.exec(typedText(message))?.[1];
  return name !== undefined && Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
}

/** The usage of a summary. */
export function summaryUsage(summary: string, costUsd: number): FakeUsage {
  return { inputTokens: Math.ceil(summary.length / 4), outputTokens: 1, costUsd };
}

export const COMPACTING: WireObject = { type: "system", subtype: "status", status: "compacting" };

export const COMPACTED: WireObject = { type: "system", subtype: "status", status: null, compact_result: "success" };

/** The boundary of a compaction. `kept` are the ids of messages that stay unchanged after `summary`. */
export function boundaryMessage(
  { inputTokens, outputTokens }: FakeUsage,
  after: string,
  summary: string,
  kept: readonly string[],
): WireObject {
  const [head] = kept;
  return {
    type: "system",
    subtype: "compact_boundary",
    compact_metadata: {
      trigger: "manual",
      pre_tokens: inputTokens,
      post_tokens: outputTokens,
      cumulative_dropped_tokens: 0,
      duration_ms: 1,
      ...(head === undefined
        ? {}
        : {
            preserved_segment: { head_uuid: head, anchor_uuid: summary, tail_uuid: kept.at(-1) },
            preserved_messages: { anchor_uuid: summary, uuids: kept, all_uuids: kept },
          }),
    },
    logical_parent_uuid: after,
  };
}

export function summaryMessage(uuid: string, summary: string): WireObject {
  return {
    type: "user",
    uuid,
    message: { role: "user", content: summary },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
    isReplay: false,
    isSynthetic: true,
  };
}

export function outputMessage(output: string): WireObject {
  return {
    type: "user",
    message: { role: "user", content: `<local-command-stdout>${output}</local-command-stdout>` },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
    isReplay: true,
  };
}

/** The message of a failed command. */
export function commandFailedMessage(command: string, args: string, text: string): WireObject {
  return {
    type: "assistant",
    message: {
      diagnostics: null,
      id: randomUUID(),
      container: null,
      model: "<synthetic>",
      role: "assistant",
      stop_details: null,
      stop_reason: "end_turn",
      stop_sequence: null,
      type: "message",
      usage: { input_tokens: 0, output_tokens: 0 },
      content: [{ type: "text", text }],
      context_management: null,
    },
    parent_tool_use_id: null,
    local_command_source: `<local-command-stderr>${text}</local-command-stderr>`,
    timestamp: new Date().toISOString(),
    local_command_run: { command, args },
    local_command_outcome: { kind: "failed" },
  };
}

export function echoOf(uuid: string): FakeEcho {
  return { user_message_uuid: uuid, user_message_uuids: [uuid] };
}

/** The text blocks of a user message. */
export function promptText(message: SDKUserMessage): string {
  const { content } = message.message;
  if (typeof content === "string") return content;
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

/** The text of a message that may be a command: of several blocks, the real process reads only the last. */
export function typedText({ message: { content } }: SDKUserMessage): string {
  if (typeof content === "string") return content;
  const last = content.at(-1);
  return last?.type === "text" ? last.text : "";
}
