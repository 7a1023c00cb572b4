import type { SDKAssistantMessageError, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { type Compaction, compactionAfter } from "./compaction.ts";
import { DeltaReader } from "./deltas.ts";
import { commandRefused } from "./local-command.ts";
import { type ShownPiece, ShownPieces, type ToolUse } from "./shown.ts";
import { answerIdOf, isFailureReport, parentToolOf, toolResultsOf, toolUsesOf } from "./tools.ts";

/** What the messages of a turn have shown so far. The error of a turn that does not complete reports it. */
export class Progress {
  readonly toolUses: ToolUse[] = [];
  /** Ids of the tool calls without a result. */
  #open: Set<string> | undefined;
  /** Ids of all tool calls. */
  #known: Set<string> | undefined;
  readonly #deltas = new DeltaReader();
  readonly #shown = new ShownPieces();
  #touched = false;
  #compaction: Compaction | undefined;
  #lastUuid: string | undefined;
  #model: string | undefined;
  #error: SDKAssistantMessageError | undefined;
  #compacted = false;
  #commandRefused = false;

  add(message: SDKMessage): void {
    if (message.type === "stream_event" && message.event.type === "content_block_start") this.touch();
    for (const delta of this.#deltas.read(message)) this.#shown.add(delta);
    this.#compaction = compactionAfter(this.#compaction, message);
    if (message.type === "assistant" || message.type === "user") {
      // Neither Claude Code's report of a failed request nor its own words in the user's place are an answer.
      const results = toolResultsOf(message);
      if (message.type === "user" ? results.length > 0 : !isFailureReport(message)) this.touch();
      for (const use of toolUsesOf(message)) {
        this.toolUses.push(use);
        this.#shown.use(use);
        this.#open ??= new Set();
        this.#open.add(use.id);
        this.#known ??= new Set();
        this.#known.add(use.id);
      }
      for (const { id } of results) this.#open?.delete(id);
      const isOfMain = message.parent_tool_use_id === null && message.uuid !== undefined;
      if (isOfMain && this.openTools === 0) this.#lastUuid = message.uuid;
    }
    if (message.type === "assistant" && message.parent_tool_use_id === null) {
      this.#error = message.error;
      if (answerIdOf(message) !== undefined) this.#model = message.message.model;
    }
    this.#compacted ||= message.type === "system" && message.subtype === "compact_boundary";
    this.#commandRefused ||= commandRefused(message) && !this.#deltas.isRepeated(message);
  }

  /** Whether `message` belongs to work that this turn did not start, such as a background task of an earlier turn. */
  isForeign(message: SDKMessage): boolean {
    if (message.type === "system" && message.subtype === "background_tasks_changed") return true;
    const tool = parentToolOf(message);
    if (tool === undefined) return message.type === "system" && message.subtype.startsWith("task_");
    return tool !== null && this.#known?.has(tool) !== true;
  }

  /** Records that a tool is about to run that no message has reported yet. */
  touch(): void {
    this.#touched = true;
  }

  /** How many tool calls have no result yet. */
  get openTools(): number {
    return this.#open?.size ?? 0;
  }

  /** Claude's text so far. */
  get text(): string {
    return this.#shown.text;
  }

  /** Text, thinking and tool calls so far, in order. */
  get shown(): readonly ShownPiece[] {
    return this.#shown.all;
  }

  /**
   * Whether Claude has begun to answer or to act, so that another attempt could repeat something. Claude Code's own
   * report of a failed request or an interrupt does not count, although it is in the conversation.
   */
  get touched(): boolean {
    return this.#touched;
  }

  /** The compaction that Claude Code began because a request of this turn was too long. */
  get compaction(): Compaction | undefined {
    return this.#compaction;
  }

  /** The model of the last message in the main conversation, or undefined if no model has written any. */
  get model(): string | undefined {
    return this.#model;
  }

  /** The error that Claude's last message reports. */
  get error(): SDKAssistantMessageError | undefined {
    return this.#error;
  }

  /** Whether a summary replaced the earlier conversation. */
  get compacted(): boolean {
    return this.#compacted;
  }

  /** Whether a built-in command reported that it failed. */
  get commandRefused(): boolean {
    return this.#commandRefused;
  }

  /**
   * The id of the last message in the main conversation at which every tool call had its result. Claude Code can cut a
   * conversation back to a message with an open tool call only once, because it then drops that message.
   */
  get lastUuid(): string | undefined {
    return this.#lastUuid;
  }
}
