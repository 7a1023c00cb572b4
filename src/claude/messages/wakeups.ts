import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock } from "../../clock.ts";
import { withoutUndefined } from "../../fields.ts";
import { SparseMap } from "../../sparse-map.ts";
import { beginsSchedule } from "./lifecycle.ts";
import { toolResultsOf, toolUsesOf } from "./tools.ts";

/** A turn that Claude has scheduled for itself with `ScheduleWakeup` or `CronCreate`. It dies with its process. */
export interface Wakeup {
  readonly id: string;
  /** When it is due next, in milliseconds since the epoch, if Claude Code has reported that. */
  readonly at?: number;
  /** Whether it recurs. */
  readonly recurring: boolean;
}

/** The key of the single wakeup that `ScheduleWakeup` can set at a time, which has no id. */
const LOOP = "wakeup";

/** How long a wakeup that does not recur may be overdue before it is no longer expected. */
const LATE_MS = 60_000;

const TOOLS: ReadonlySet<string> = new Set(["ScheduleWakeup", "CronCreate", "CronDelete"]);

/** A wakeup, and when it is due on the monotonic clock: Claude Code may use either clock. */
interface Armed extends Wakeup {
  readonly due?: number;
}

/** The turns that Claude has scheduled for itself, as the results of its tools report them. */
export class Wakeups {
  readonly #clock: Pick<Clock, "now" | "monotonic">;
  readonly #armed = new SparseMap<string, Armed>();
  /** The open calls of scheduling tools: the tool by the id of the call. */
  readonly #calls = new SparseMap<string, string>();

  constructor(clock: Pick<Clock, "now" | "monotonic">) {
    this.#clock = clock;
  }

  /** The wakeups that are still to come. */
  get armed(): readonly Wakeup[] {
    for (const armed of this.#armed.values()) {
      if (!armed.recurring && Math.min(...this.#lateness(armed)) > LATE_MS) this.#armed.delete(armed.id);
    }
    return [...this.#armed.values()].map(shown);
  }

  /** Reads a message of the process. Returns whether the wakeups have changed. */
  receive(message: SDKMessage): boolean {
    if (beginsSchedule(message)) return this.#fired();
    for (const { id, name } of toolUsesOf(message)) if (TOOLS.has(name)) this.#calls.set(id, name);
    if (this.#calls.size === 0) return false;
    let changed = false;
    for (const { id, failed, data } of toolResultsOf(message)) {
      const tool = this.#calls.get(id);
      this.#calls.delete(id);
      if (tool !== undefined && !failed) changed = this.#apply(tool, data) || changed;
    }
    return changed;
  }

  #fired(): boolean {
    const due = [...this.#armed.values()].filter((armed) => {
      return !armed.recurring && Math.max(...this.#lateness(armed)) >= 0;
    });
    for (const { id } of due) this.#armed.delete(id);
    return due.length > 0;
  }

  #apply(tool: string, result: unknown): boolean {
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
      ...withoutUndefined({ due }),
    });
    return true;
  }

  /** Returns how long it has been due by each clock; negative before that. */
  #lateness({ at, due }: Armed): readonly number[] {
    if (at === undefined || due === undefined) return [Number.NEGATIVE_INFINITY];
    return [this.#clock.now() - at, this.#clock.monotonic() - due];
  }
}

function shown({ due: _, ...wakeup }: Armed): Wakeup {
  return wakeup;
}
