import type { EventState, OpenTool } from "./event-state.ts";

/** How long a tool call may wait until its permission is asked for, before it counts as allowed, in milliseconds. */
const HOLD_MS = 500;

/**
 * When the permission of a tool call counts as evaluated: `now` if it was asked for, a time in milliseconds since the
 * epoch, or `later` if Claude Code has not come to it, because it still waits for an answer about an earlier tool call, or runs
 * that tool.
 */
export function evaluatedAt(tool: OpenTool, state: EventState): "now" | "later" | number {
  if (tool.isAsked) return "now";
  const isBehind = [...state.tools.values()].some(
    ({ isAsked, number, turnId }) => isAsked && number < tool.number && turnId === tool.turnId,
  );
  return isBehind ? "later" : Math.max(tool.at, state.resumedAt) + HOLD_MS;
}
