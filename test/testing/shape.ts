import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { kindOf } from "./bare-session.ts";

/** Fields that vary between runs, or belong to the model, the machine or the tools rather than to the protocol. */
const VOLATILE = new Set([
  "usage",
  "tool_use_result",
  "memory_paths",
  "plugins",
  "request_id",
  "input",
  "context_management",
  "permission_decision",
  "messaging_socket_path",
  "effort",
]);

/**
 * Returns the shape of each message: its kind, and the names and types of its fields, recursively. Consecutive deltas
 * count once.
 */
export function shapesOf(messages: readonly SDKMessage[]): unknown[] {
  const shapes = messages.map((message) => ({ kind: kindOf(message), ...shapeOf(message) }));
  return shapes.filter((shape, at) => !(isRepeatable(shape.kind) && shapes[at - 1]?.kind === shape.kind));
}

export function shapeOf(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !VOLATILE.has(name))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, fieldShape(field)]),
  );
}

function fieldShape(field: unknown): unknown {
  if (field === null) return "null";
  if (Array.isArray(field)) return field.length === 0 ? [] : [fieldShape(field[0])];
  if (typeof field === "object") return shapeOf(field);
  return typeof field;
}

function isRepeatable(kind: string): boolean {
  return kind === "stream_event/content_block_delta" || kind === "system/thinking_tokens";
}
