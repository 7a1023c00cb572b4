import type { SDKAssistantMessage, SDKAssistantMessageError, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { type Compaction, compactionAfter } from "./compaction.ts";
import { answerOf, commandRefused } from "./local-command.ts";
import type { Delta, ToolUse } from "./shown.ts";
import { type ShownPiece, ShownPieces } from "./shown.ts";

/**
 * Whether Claude Code says in the model's place what became of a request that failed. Not all that it says so has an `error`;
 * the other field is not in the SDK's types.
 */
function isOfFailure(message: SDKAssistantMessage): boolean {
  return message.error !== undefined || ("is_api_error_message" in message && message.is_api_error_message === true);
}

/**
 * Reads pieces of text out of the messages of a turn. With partial messages they come as they are written, and the
 * whole message that follows repeats them; without, or where Claude Code speaks for itself, only whole messages come.
 * One reader reads one turn from its beginning.
 *
 * What subagents write is not part of the answer and is left out, and so are the words of an error, which the turn fails with.
 */
export class DeltaReader {
  /** Ids of API messages of which pieces have been seen. A turn has few. */
  readonly #streamed = new Set<string>();
  readonly #repeated = new Set<string>();
  #current = "";
  #given = false;
  #compacted = false;

  read(message: SDKMessage): Delta[] {
    const deltas = this.#deltasOf(message);
    this.#given ||= deltas.length > 0;
    return deltas;
  }

  /** Whether it was told before, and is told again because a summary of the conversation has left it as it is. */
  isRepeated({ uuid }: SDKMessage): boolean {
    return uuid !== undefined && this.#repeated.has(uuid);
  }

  #deltasOf(message: SDKMessage): Delta[] {
    if (message.type === "system" && message.subtype === "compact_boundary") {
      this.#compacted = true;
      for (const uuid of message.compact_metadata.preserved_messages?.uuids ?? []) this.#repeated.add(uuid);
    }
    // A command that has said nothing.
    if (message.type === "result" && message.subtype === "success" && message.local_command !== undefined) {
      const silent = this.#given || (message.local_command === "compact" && !this.#compacted);
      return silent ? [] : [{ type: "text", text: answerOf(message) }];
    }
    if (message.type === "stream_event" && message.parent_tool_use_id === null) {
      const { event } = message;
      if (event.type === "message_start") this.#current = event.message.id;
      if (event.type !== "content_block_delta") return [];
      this.#streamed.add(this.#current);
      if (event.delta.type === "text_delta") return [{ type: "text", text: event.delta.text }];
      if (event.delta.type === "thinking_delta") return [{ type: "thinking", text: event.delta.thinking }];
      return [];
    }
    if (message.type !== "assistant" || message.parent_tool_use_id !== null || isOfFailure(message)) return [];
    if (this.#streamed.has(message.message.id) || this.isRepeated(message)) return [];
    return message.message.content.flatMap((block): Delta[] => {
      if (block.type === "text") return [{ type: "text", text: block.text }];
      if (block.type === "thinking") return [{ type: "thinking", text: block.thinking }];
      return [];
    });
  }
}

/** The tools called in a message. */
export function toolUsesOf(message: SDKMessage): ToolUse[] {
  if (message.type !== "assistant") return [];
  const parent = message.parent_tool_use_id;
  return message.message.content.flatMap((block) =>
    block.type === "tool_use"
      ? [
          {
            id: block.id,
            name: block.name,
            input: block.input,
            ...(parent === null ? {} : { parentToolUseId: parent }),
          },
        ]
      : [],
  );
}

/** The tool call under which a message stands: `null` if under none, `undefined` if it does not say. */
function toolOf(message: SDKMessage): string | null | undefined {
  if ("parent_tool_use_id" in message) return message.parent_tool_use_id;
  return "tool_use_id" in message && typeof message.tool_use_id === "string" ? message.tool_use_id : undefined;
}

/** Ids of the tools that answer in a message. */
function toolResultsOf(message: SDKMessage): string[] {
  if (message.type !== "user" || typeof message.message.content === "string") return [];
  return message.message.content.flatMap((block) => (block.type === "tool_result" ? [block.tool_use_id] : []));
}

/**
 * What a turn has shown so far, kept for the error of a turn that does not complete.
 */
export class Progress {
  readonly toolUses: ToolUse[] = [];
  /** Ids of the tools that have been called and have not answered. */
  readonly #open = new Set<string>();
  /** Ids of all tools that have been called. */
  readonly #known = new Set<string>();
  readonly #deltas = new DeltaReader();
  readonly #shown = new ShownPieces();
  #touched = false;
  #compaction: Compaction | undefined;
  #lastUuid: string | undefined;
  #error: SDKAssistantMessageError | undefined;
  #compacted = false;
  #commandRefused = false;

  add(message: SDKMessage): void {
    if (message.type === "stream_event" && message.event.type === "content_block_start") this.touch();
    for (const delta of this.#deltas.read(message)) this.#shown.add(delta);
    this.#compaction = compactionAfter(this.#compaction, message);
    if (message.type === "assistant" || message.type === "user") {
      // What Claude Code says of a request that failed is no answer, and neither are its own words in the place of the user.
      if (message.type === "user" ? toolResultsOf(message).length > 0 : !isOfFailure(message)) this.touch();
      for (const use of toolUsesOf(message)) {
        this.toolUses.push(use);
        this.#shown.use(use);
        this.#open.add(use.id);
        this.#known.add(use.id);
      }
      for (const id of toolResultsOf(message)) this.#open.delete(id);
      const isOfMain = message.parent_tool_use_id === null && message.uuid !== undefined;
      if (isOfMain && this.#open.size === 0) this.#lastUuid = message.uuid;
    }
    if (message.type === "assistant" && message.parent_tool_use_id === null) this.#error = message.error;
    this.#compacted ||= message.type === "system" && message.subtype === "compact_boundary";
    this.#commandRefused ||= commandRefused(message) && !this.#deltas.isRepeated(message);
  }

  /**
   * Whether `message` is of something that this turn did not start, such as a background task of an earlier one. The end of
   * a turn is not the end of all that it started.
   */
  isForeign(message: SDKMessage): boolean {
    if (message.type === "system" && message.subtype === "background_tasks_changed") return true;
    const tool = toolOf(message);
    if (tool === undefined) return message.type === "system" && message.subtype.startsWith("task_");
    return tool !== null && !this.#known.has(tool);
  }

  /** A tool is about to run, of which no message has told yet. */
  touch(): void {
    this.#touched = true;
  }

  /** How many tools have been called and have not answered. */
  get openTools(): number {
    return this.#open.size;
  }

  /** The text of Claude's that has arrived. */
  get text(): string {
    return this.#shown.text;
  }

  /** What has been shown, in order. */
  get shown(): readonly ShownPiece[] {
    return this.#shown.all;
  }

  /**
   * Whether Claude had begun to answer or to act: what comes after a cut is then no longer a first try. What Claude Code itself says,
   * of a request that failed or of an interrupt, is no answer, although it stands in the conversation.
   */
  get touched(): boolean {
    return this.#touched;
  }

  /** The compaction that a request of the turn was too long without, if there was one. */
  get compaction(): Compaction | undefined {
    return this.#compaction;
  }

  /** What the last message of Claude said that went wrong with its request. */
  get error(): SDKAssistantMessageError | undefined {
    return this.#error;
  }

  /** Whether the conversation so far has been replaced by a summary. */
  get compacted(): boolean {
    return this.#compacted;
  }

  /** Whether a command of Claude Code's own has said that it did not do what it was to do. */
  get commandRefused(): boolean {
    return this.#commandRefused;
  }

  /**
   * The transcript's id of the last message of the main conversation at which no tool was running. At one that no tool has
   * answered a conversation can be cut back once, and not again: Claude Code drops it from what follows.
   */
  get lastUuid(): string | undefined {
    return this.#lastUuid;
  }
}
