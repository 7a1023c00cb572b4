import type { SDKAssistantMessage, SDKMessage, SDKPartialAssistantMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Json } from "../../journal/model/session-entry.ts";
import { answerOf } from "./local-command.ts";
import { isFailureReport, toolResultsOf } from "./tools.ts";

/** A block of what Claude wrote, thought or did. */
export type WholeBlock = {
  /** The tool call that started the subagent whose block it is, if any. */
  readonly parent?: string;
} & (
  | {
      readonly type: "text" | "thinking";
      readonly text: string;
      /** Unique in the conversation. */
      readonly block: string;
      /** The block is incomplete. */
      readonly cut?: true;
    }
  | {
      readonly type: "tool_use";
      readonly id: string;
      readonly name: string;
      readonly input: Json;
      /** The API message with the call. */
      readonly message: string;
    }
  | {
      readonly type: "tool_result";
      readonly toolUseId: string;
      readonly output: Json;
      readonly failed: boolean;
      /** The background task with which the call goes on. */
      readonly taskId?: string;
    }
);

/** A piece of a block, which arrives whole later. */
export type BlockDelta = { readonly parent?: string } & (
  | { readonly type: "text_delta" | "thinking_delta"; readonly text: string; readonly block: string }
  | { readonly type: "tool_input_delta"; readonly json: string; readonly toolUseId: string }
);

export function isDelta(piece: WholeBlock | BlockDelta): piece is BlockDelta {
  return piece.type === "text_delta" || piece.type === "thinking_delta" || piece.type === "tool_input_delta";
}

type Block = SDKAssistantMessage["message"]["content"][number];

/** A block that is being streamed. */
interface OpenBlock {
  readonly type: "text" | "thinking" | "tool";
  /** The block's id; of a tool, the id of the call. */
  readonly id: string;
  readonly parent: string | null;
  readonly message: string;
  readonly parts: string[];
}

/**
 * Reads the text, thinking, tool calls and results that each message of one attempt of a turn adds, from its first message on, the
 * subagents' included.
 *
 * Claude Code sends each block of an API message twice: in pieces, with partial messages, and then whole, as a message
 * of its own with the same id, before the end of the block.
 */
export class BlockReader {
  /** By parent and index. Most turns stream nothing, so this and what follows is made when it is needed. */
  #open: Map<string, OpenBlock> | undefined;
  /** The API message that each conversation is streaming, by parent. */
  #streaming: Map<string | null, string> | undefined;
  /** How many blocks of the last API message have arrived whole, by parent. */
  readonly #whole = new Map<string | null, { readonly message: string; count: number }>();
  /** The ids of messages that a compaction preserved, which Claude Code sends again. */
  #repeated: Set<string> | undefined;
  #given = false;
  #compacted = false;

  /** @param withDeltas whether to return pieces of blocks, which cost time that a turn without readers can save */
  read(message: SDKMessage, { withDeltas }: { readonly withDeltas: boolean }): readonly (WholeBlock | BlockDelta)[] {
    switch (message.type) {
      case "stream_event":
        return this.#piece(message, withDeltas);
      case "assistant":
        return isFailureReport(message) || this.#isRepeated(message.uuid) ? [] : this.#answer(message);
      case "user":
        return this.#isRepeated(message.uuid) ? [] : resultsOf(message);
      case "system":
        if (message.subtype === "compact_boundary") {
          this.#compacted = true;
          this.#repeated ??= new Set();
          for (const uuid of message.compact_metadata.preserved_messages?.uuids ?? []) this.#repeated.add(uuid);
        }
        return [];
      case "result":
        return this.#commandAnswer(message);
      default:
        return [];
    }
  }

  #isRepeated(uuid: string | undefined): boolean {
    return uuid !== undefined && this.#repeated?.has(uuid) === true;
  }

  /** Returns the text and thinking of the blocks that will not arrive whole, because the attempt is over. */
  cut(): WholeBlock[] {
    return this.#cut(() => true);
  }

  #cut(isOver: (block: OpenBlock, key: string) => boolean): WholeBlock[] {
    // The usual case, with every message and block.
    const open = this.#open;
    if (open === undefined || open.size === 0) return [];
    const over = [...open].filter(([key, block]) => isOver(block, key));
    for (const [key] of over) open.delete(key);
    return over.flatMap(([, { type, id, parent, parts }]): WholeBlock[] => {
      const text = parts.join("");
      return type === "tool" || text === "" ? [] : [{ type, text, block: id, cut: true, ...parentOf(parent) }];
    });
  }

  #piece(
    { event, parent_tool_use_id: parent }: SDKPartialAssistantMessage,
    withDeltas: boolean,
  ): readonly (WholeBlock | BlockDelta)[] {
    switch (event.type) {
      case "message_start":
        this.#streaming ??= new Map();
        this.#streaming.set(parent, event.message.id);
        // The API broke the previous message off.
        return this.#cut((block) => block.parent === parent);
      case "content_block_start":
        this.#begin(parent, event.index, event.content_block);
        return [];
      case "content_block_delta":
        return this.#delta(this.#open?.get(keyOf(parent, event.index)), event.delta, withDeltas);
      case "content_block_stop":
        // The whole block has arrived before, unless the API broke off: then the answer to a second request arrives whole.
        return this.#cut((_, key) => key === keyOf(parent, event.index));
      default:
        return [];
    }
  }

  #begin(parent: string | null, index: number, block: Block): void {
    this.#open ??= new Map();
    const message = this.#streaming?.get(parent) ?? "";
    const common = { parent, message, parts: [] };
    const key = keyOf(parent, index);
    if (isToolUse(block)) this.#open.set(key, { ...common, type: "tool", id: block.id });
    else if (block.type === "text" || block.type === "thinking") {
      this.#open.set(key, { ...common, type: block.type, id: blockId(message, index) });
    }
  }

  #delta(
    open: OpenBlock | undefined,
    delta: Extract<SDKPartialAssistantMessage["event"], { type: "content_block_delta" }>["delta"],
    isWanted: boolean,
  ): readonly (WholeBlock | BlockDelta)[] {
    if (open === undefined) return [];
    const { id, parent, parts } = open;
    if (delta.type === "text_delta" && open.type === "text") parts.push(delta.text);
    if (delta.type === "thinking_delta" && open.type === "thinking") parts.push(delta.thinking);
    if (!isWanted) return [];
    const rest = parentOf(parent);
    if (delta.type === "text_delta" && open.type === "text") {
      return [{ type: "text_delta", text: delta.text, block: id, ...rest }];
    }
    if (delta.type === "thinking_delta" && open.type === "thinking") {
      return [{ type: "thinking_delta", text: delta.thinking, block: id, ...rest }];
    }
    if (delta.type === "input_json_delta" && open.type === "tool") {
      return [{ type: "tool_input_delta", json: delta.partial_json, toolUseId: id, ...rest }];
    }
    return [];
  }

  #answer({ message, parent_tool_use_id: parent }: SDKAssistantMessage): readonly (WholeBlock | BlockDelta)[] {
    const blocks = message.content.flatMap((block): WholeBlock[] => {
      const id = this.#arrived(parent, message.id, block);
      const rest = parentOf(parent);
      if (block.type === "text")
        return block.text === "" ? [] : [{ type: "text", text: block.text, block: id, ...rest }];
      if (block.type === "thinking") {
        return block.thinking === "" ? [] : [{ type: "thinking", text: block.thinking, block: id, ...rest }];
      }
      if (isToolUse(block))
        return [
          {
            type: "tool_use",
            id: block.id,
            name: block.name,
            input: parsed(block.input),
            message: message.id,
            ...rest,
          },
        ];
      return resultOf(block, rest);
    });
    if (parent === null) this.#given ||= blocks.some(({ type }) => type === "text" || type === "thinking");
    return blocks;
  }

  /** Records that a block has arrived whole. Returns its id. */
  #arrived(parent: string | null, message: string, block: Block): string {
    const before = this.#whole.get(parent);
    const whole = before?.message === message ? before : { message, count: 0 };
    this.#whole.set(parent, whole);
    const index = whole.count++;
    const type = isToolUse(block) ? "tool" : block.type;
    // A block that does not arrive whole, such as an empty one, shifts the count.
    for (const [key, open] of this.#open ?? []) {
      if (open.parent !== parent || open.message !== message || open.type !== type) continue;
      this.#open?.delete(key);
      return open.id;
    }
    return blockId(message, index);
  }

  /** Returns the answer of a built-in command that has shown nothing else. */
  #commandAnswer(message: Extract<SDKMessage, { type: "result" }>): readonly (WholeBlock | BlockDelta)[] {
    if (message.subtype !== "success" || message.local_command === undefined) return [];
    const isSilent = this.#given || (message.local_command === "compact" && !this.#compacted);
    return isSilent ? [] : [{ type: "text", text: answerOf(message), block: blockId(message.uuid, 0) }];
  }
}

/** What a process sent is parsed JSON. */
function parsed(value: unknown): Json {
  return value as Json;
}

function keyOf(parent: string | null, index: number): string {
  return `${index} ${parent ?? ""}`;
}

function blockId(message: string, index: number): string {
  return `${message}.${index}`;
}

/** Returns the id of the API message that a block belongs to. */
export function messageOf(block: string): string {
  return block.slice(0, block.lastIndexOf("."));
}

function parentOf(parent: string | null | undefined): { readonly parent?: string } {
  return parent === null || parent === undefined ? {} : { parent };
}

/** Whether the block calls a tool: of Claude Code, or of the API itself, such as its web search. */
function isToolUse(block: Block): block is Extract<Block, { readonly input: unknown; readonly name: string }> {
  return block.type === "tool_use" || block.type === "server_tool_use" || block.type === "mcp_tool_use";
}

/** Returns the result of a tool that the API ran itself. */
function resultOf(block: Block, rest: { readonly parent?: string }): WholeBlock[] {
  if (!("tool_use_id" in block) || !("content" in block)) return [];
  const { tool_use_id: toolUseId, content } = block;
  const failed = "is_error" in block && block.is_error === true;
  return [{ type: "tool_result", toolUseId, output: parsed(content), failed, ...rest }];
}

function resultsOf(message: Extract<SDKMessage, { type: "user" }>): WholeBlock[] {
  const rest = parentOf(message.parent_tool_use_id);
  return toolResultsOf(message).map(({ id, output, failed, taskId }) => {
    const task = taskId === undefined ? {} : { taskId };
    return { type: "tool_result", toolUseId: id, output: parsed(output), failed, ...task, ...rest };
  });
}
