import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** A compaction that Claude Code has begun by itself in a turn, because a request of it was too long. */
export interface Compaction {
  /** `bounded`: the message with the summary follows. */
  readonly state: "failed" | "bounded" | "done";
  /** The transcript's id of the summary that stands for what was said before, also of an earlier one in this turn. */
  readonly summary: string | undefined;
}

/** What there is of a compaction after `message`. */
export function compactionAfter(before: Compaction | undefined, message: SDKMessage): Compaction | undefined {
  const summary = before?.summary;
  if (message.type === "system" && message.subtype === "status" && message.compact_result === "failed") {
    return { state: "failed", summary };
  }
  if (message.type === "system" && message.subtype === "compact_boundary") return { state: "bounded", summary };
  const isSummary = before?.state === "bounded" && message.type === "user" && message.parent_tool_use_id === null;
  return isSummary ? { state: "done", summary: message.uuid } : before;
}
