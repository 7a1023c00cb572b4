import type { SDKMessage, SDKPartialAssistantMessage } from "@anthropic-ai/claude-agent-sdk";
import { DeltaReader } from "./deltas.ts";
import type { Delta, ToolUse } from "./shown.ts";
import { parentToolOf, type ToolResult, toolResultsOf, toolUsesOf } from "./tools.ts";

/** A part of an answer in the main conversation, as it is written. */
export type Part =
  /** An API message begins. The same message may begin twice: as it is streamed, and whole. */
  | { readonly type: "message"; readonly id: string }
  /** A block of the message begins or ends. */
  | { readonly type: "block" }
  | Delta
  /** Claude begins to write a tool call. */
  | { readonly type: "tool_begun"; readonly id: string; readonly name: string }
  /** A piece of the call's input, as JSON. */
  | { readonly type: "tool_input"; readonly json: string }
  | ({ readonly type: "tool_use" } & ToolUse)
  | ({ readonly type: "tool_result" } & ToolResult);

/** Reads the parts that each message of one turn adds, from its first message on. Subagents' messages have none. */
export class PartReader {
  readonly #deltas = new DeltaReader();

  read(message: SDKMessage): Part[] {
    const deltas = this.#deltas.read(message);
    // If a command has shown no other answer, its result holds the answer.
    if (message.type !== "result" && parentToolOf(message) !== null) return [];
    switch (message.type) {
      case "stream_event":
        return [...streamed(message.event), ...deltas];
      case "assistant": {
        const uses = toolUsesOf(message).map((use) => ({ type: "tool_use", ...use }) as const);
        return [{ type: "message", id: message.message.id }, ...deltas, { type: "block" }, ...uses];
      }
      case "user":
        return toolResultsOf(message).map((result) => ({ type: "tool_result", ...result }) as const);
      default:
        return deltas;
    }
  }
}

function streamed(event: SDKPartialAssistantMessage["event"]): Part[] {
  switch (event.type) {
    case "message_start":
      return [{ type: "message", id: event.message.id }];
    case "content_block_start": {
      const { content_block: block } = event;
      if (block.type !== "tool_use") return [{ type: "block" }];
      return [{ type: "block" }, { type: "tool_begun", id: block.id, name: block.name }];
    }
    case "content_block_stop":
      return [{ type: "block" }];
    case "content_block_delta":
      return event.delta.type === "input_json_delta" ? [{ type: "tool_input", json: event.delta.partial_json }] : [];
    default:
      return [];
  }
}
