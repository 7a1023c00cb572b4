import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { lifecycleOf } from "./current-turn.ts";
import { toolUsesOf } from "./transcript.ts";

/** A turn that Claude has scheduled for itself: by `ScheduleWakeup`, or by `CronCreate`. It is kept by its process and dies with it. */
export interface Wakeup {
  readonly id: string;
  /** When it is due next, in milliseconds since the epoch, if Claude Code has said so. */
  readonly at?: number;
  /** Whether it comes again after that. */
  readonly recurring: boolean;
}

/** Claude Code has one wakeup of `ScheduleWakeup` at a time, which has no id. */
const LOOP = "wakeup";

/** How long after it was due a wakeup that comes once is waited for. */
const LATE_MS = 60_000;

const TOOLS: ReadonlySet<string> = new Set(["ScheduleWakeup", "CronCreate", "CronDelete"]);

/** The turns that Claude has scheduled for itself, as far as the results of its tools tell. */
export class Wakeups {
  readonly #armed = new Map<string, Wakeup>();
  /** The calls of tools that schedule, by their ids, until they answer. */
  readonly #calls = new Map<string, string>();

  /** Those that are still to come at `now`, in milliseconds since the epoch. */
  armed(now: number): readonly Wakeup[] {
    for (const { id, at, recurring } of this.#armed.values()) {
      if (!recurring && at !== undefined && at + LATE_MS < now) this.#armed.delete(id);
    }
    return [...this.#armed.values()];
  }

  /** Takes a message of the process. Whether there are others than before. */
  receive(message: SDKMessage, now: number): boolean {
    const lifecycle = lifecycleOf(message);
    if (lifecycle?.wakeupSource !== undefined && lifecycle.state === "started") return this.#fired(now);
    for (const { id, name } of toolUsesOf(message)) if (TOOLS.has(name)) this.#calls.set(id, name);
    if (this.#calls.size === 0 || message.type !== "user" || typeof message.message.content === "string") return false;
    let changed = false;
    for (const block of message.message.content) {
      if (block.type !== "tool_result") continue;
      const tool = this.#calls.get(block.tool_use_id);
      this.#calls.delete(block.tool_use_id);
      if (tool !== undefined && block.is_error !== true) changed = this.#told(tool, message.tool_use_result) || changed;
    }
    return changed;
  }

  /** The process is gone, and with it its wakeups, which are returned. */
  lost(): readonly Wakeup[] {
    const lost = [...this.#armed.values()];
    this.#armed.clear();
    this.#calls.clear();
    return lost;
  }

  #fired(now: number): boolean {
    const due = [...this.#armed.values()].filter(({ at, recurring }) => !recurring && at !== undefined && at <= now);
    for (const { id } of due) this.#armed.delete(id);
    return due.length > 0;
  }

  #told(tool: string, result: unknown): boolean {
    if (typeof result !== "object" || result === null) return false;
    const fields: Partial<Record<string, unknown>> = { ...result };
    if (tool === "ScheduleWakeup") {
      if (fields["stopped"] === true) return this.#armed.delete(LOOP);
      return this.#arm(LOOP, fields["scheduledFor"], false);
    }
    const { id } = fields;
    if (typeof id !== "string") return false;
    if (tool === "CronCreate") return this.#arm(id, fields["nextFireAt"], fields["recurring"] === true);
    const ended = fields["endedLoopWakeup"] === true && this.#armed.delete(LOOP);
    return this.#armed.delete(id) || ended;
  }

  #arm(id: string, at: unknown, recurring: boolean): boolean {
    this.#armed.set(id, { id, recurring, ...(typeof at === "number" ? { at } : {}) });
    return true;
  }
}
