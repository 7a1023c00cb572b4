import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** A compaction that Claude Code began by itself in a turn because a request was too long. */
export interface Compaction {
  /** `bounded`: the boundary has arrived, and the message with the summary follows. */
  readonly state: "failed" | "bounded" | "done";
  /** The id of the last summary that replaced earlier messages, also if an earlier compaction of this turn made it. */
  readonly summary: string | undefined;
}

/** Returns the state of the compaction after `message`. */
export function compactionAfter(before: Compaction | undefined, message: SDKMessage): Compaction | undefined {
  const summary = before?.summary;
  if (message.type === "system" && message.subtype === "status" && message.compact_result === "failed") {
    return { state: "failed", summary };
  }
  if (message.type === "system" && message.subtype === "compact_boundary") return { state: "bounded", summary };
  const isSummary = before?.state === "bounded" && message.type === "user" && message.parent_tool_use_id === null;
  return isSummary ? { state: "done", summary: message.uuid } : before;
}
