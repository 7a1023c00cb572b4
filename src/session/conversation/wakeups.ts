import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../../clock.ts";
import { lifecycleOf } from "../streams/current-turn.ts";
import { toolUsesOf } from "../streams/transcript.ts";

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

/** A wakeup, and when it is due on the clock that is never set: Claude Code may go by either. */
interface Armed extends Wakeup {
  readonly due?: number;
}

/** The turns that Claude has scheduled for itself, as far as the results of its tools tell. */
export class Wakeups {
  readonly #clock: Pick<Clock, "now" | "monotonic">;
  readonly #armed = new Map<string, Armed>();
  /** The calls of tools that schedule, by their ids, until they answer. */
  readonly #calls = new Map<string, string>();

  constructor(clock: Pick<Clock, "now" | "monotonic">) {
    this.#clock = clock;
  }

  /** Those that are still to come. */
  get armed(): readonly Wakeup[] {
    for (const armed of this.#armed.values()) {
      if (!armed.recurring && Math.min(...this.#lateness(armed)) > LATE_MS) this.#armed.delete(armed.id);
    }
    return [...this.#armed.values()].map(shown);
  }

  /** Takes a message of the process. Whether there are others than before. */
  receive(message: SDKMessage): boolean {
    const lifecycle = lifecycleOf(message);
    if (lifecycle?.wakeupSource !== undefined && lifecycle.state === "started") return this.#fired();
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
    const lost = [...this.#armed.values()].map(shown);
    this.#armed.clear();
    this.#calls.clear();
    return lost;
  }

  #fired(): boolean {
    const due = [...this.#armed.values()].filter((armed) => {
      return !armed.recurring && Math.max(...this.#lateness(armed)) >= 0;
    });
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
    const due = typeof at === "number" ? this.#clock.monotonic() + at - this.#clock.now() : undefined;
    this.#armed.set(id, {
      id,
      recurring,
      ...(typeof at === "number" ? { at } : {}),
      ...(due === undefined ? {} : { due }),
    });
    return true;
  }

  /** For how long it has been due, by each clock; less than 0 if it is not. */
  #lateness({ at, due }: Armed): readonly number[] {
    if (at === undefined || due === undefined) return [Number.NEGATIVE_INFINITY];
    return [this.#clock.now() - at, this.#clock.monotonic() - due];
  }
}

function shown({ due: _, ...wakeup }: Armed): Wakeup {
  return wakeup;
}
