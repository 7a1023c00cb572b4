import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { answerOf } from "./local-command.ts";
import type { Delta } from "./shown.ts";
import { isFailureReport } from "./tools.ts";

/**
 * Reads the text and thinking that each message of one turn adds, from its first message on. With partial messages,
 * text arrives in pieces and the whole message that follows repeats it. Without them, and for Claude Code's own
 * messages, only whole messages arrive.
 *
 * Excludes subagents' text, which is not part of the answer, and the words of failed requests, which the turn's error
 * has.
 */
export class DeltaReader {
  /** The ids of API messages that arrived in pieces. A turn has few. */
  #streamed: Set<string> | undefined;
  #repeated: Set<string> | undefined;
  #current = "";
  #given = false;
  #compacted = false;

  read(message: SDKMessage): Delta[] {
    const deltas = this.#deltasOf(message);
    this.#given ||= deltas.length > 0;
    return deltas;
  }

  /** Whether Claude Code sends `message` again because a compaction preserved it. */
  isRepeated({ uuid }: SDKMessage): boolean {
    return uuid !== undefined && this.#repeated?.has(uuid) === true;
  }

  #deltasOf(message: SDKMessage): Delta[] {
    if (message.type === "system" && message.subtype === "compact_boundary") {
      this.#compacted = true;
      this.#repeated ??= new Set();
      for (const uuid of message.compact_metadata.preserved_messages?.uuids ?? []) this.#repeated.add(uuid);
    }
    // A command may answer with nothing but its result.
    if (message.type === "result" && message.subtype === "success" && message.local_command !== undefined) {
      const silent = this.#given || (message.local_command === "compact" && !this.#compacted);
      return silent ? [] : [{ type: "text", text: answerOf(message) }];
    }
    if (message.type === "stream_event" && message.parent_tool_use_id === null) {
      const { event } = message;
      if (event.type === "message_start") this.#current = event.message.id;
      if (event.type !== "content_block_delta") return [];
      this.#streamed ??= new Set();
      this.#streamed.add(this.#current);
      if (event.delta.type === "text_delta") return [{ type: "text", text: event.delta.text }];
      if (event.delta.type === "thinking_delta") return [{ type: "thinking", text: event.delta.thinking }];
      return [];
    }
    if (message.type !== "assistant" || message.parent_tool_use_id !== null || isFailureReport(message)) return [];
    if (this.#streamed?.has(message.message.id) === true || this.isRepeated(message)) return [];
    return message.message.content.flatMap((block): Delta[] => {
      if (block.type === "text") return [{ type: "text", text: block.text }];
      if (block.type === "thinking") return [{ type: "thinking", text: block.thinking }];
      return [];
    });
  }
}

/** Whether `message` is a piece of another message, which follows whole. */
export function isPiece(message: SDKMessage): boolean {
  return message.type === "stream_event";
}
