import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { withoutUndefined } from "../fields.ts";
import { SparseMap } from "../sparse-map.ts";
import {
  type BackgroundTask,
  backgroundTasksOf,
  describeTask,
  runKeyOf,
  type TaskDescription,
} from "./messages/background-tasks.ts";
import { reportedModeOf } from "./permission-mode.ts";

/** A change that a process reports besides the blocks of its turns. */
export type ProcessChange =
  | { readonly type: "model_changed"; readonly model: string }
  | { readonly type: "permission_mode_changed"; readonly mode: string }
  | {
      readonly type: "compacted";
      readonly trigger: "manual" | "auto";
      readonly tokensBefore?: number;
      readonly tokensAfter?: number;
    }
  | { readonly type: "task_started"; readonly task: TaskDescription }
  | { readonly type: "task_ended"; readonly taskId: string; readonly status?: string; readonly summary?: string };

/** How many reports of ended tasks to keep until the list of tasks lacks the task. */
const MOST_REPORTS = 64;

const NO_TASKS: ReadonlyMap<string, BackgroundTask> = new Map();

/**
 * Reads what the messages of a session's processes show besides blocks: model, permission mode, compactions and background
 * tasks.
 */
export class ProcessReader {
  #model: string | undefined;
  #mode: string | undefined;
  /** By run: a resumed task counts as another one. */
  #tasks: ReadonlyMap<string, BackgroundTask> = NO_TASKS;
  /** How tasks ended, by task id. Claude Code reports it right before it lists the other tasks. */
  readonly #reports = new SparseMap<string, { readonly status: string; readonly summary: string }>();

  read(message: SDKMessage): ProcessChange[] {
    if (message.type !== "system") return [];
    const tasks = backgroundTasksOf(message);
    if (tasks !== undefined) return this.#listed(tasks);
    const changed = this.#modeChanged(reportedModeOf(message)?.now);
    switch (message.subtype) {
      case "init":
        return [...this.#modelChanged(message.model), ...changed];
      case "compact_boundary": {
        const { trigger, pre_tokens: tokensBefore, post_tokens: tokensAfter } = message.compact_metadata;
        return [{ type: "compacted", trigger, ...withoutUndefined({ tokensBefore, tokensAfter }) }];
      }
      case "task_notification":
        this.#reported(message.task_id, message);
        return [];
      default:
        return changed;
    }
  }

  /** Records that the process is gone, and its tasks with it. */
  gone(): ProcessChange[] {
    const ended = this.#listed([]);
    this.#reports.clear();
    return ended;
  }

  #modelChanged(model: string | undefined): ProcessChange[] {
    if (model === undefined || model === this.#model) return [];
    this.#model = model;
    return [{ type: "model_changed", model }];
  }

  #modeChanged(mode: string | undefined): ProcessChange[] {
    if (mode === undefined || mode === this.#mode) return [];
    this.#mode = mode;
    return [{ type: "permission_mode_changed", mode }];
  }

  #reported(id: string, { status, summary }: { readonly status: string; readonly summary: string }): void {
    this.#reports.set(id, { status, summary });
    const [oldest] = this.#reports.keys();
    if (this.#reports.size > MOST_REPORTS && oldest !== undefined) this.#reports.delete(oldest);
  }

  #listed(tasks: readonly BackgroundTask[]): ProcessChange[] {
    const before = this.#tasks;
    this.#tasks = tasks.length === 0 ? NO_TASKS : new Map(tasks.map((task) => [runKeyOf(task), task]));
    const ended = [...before].flatMap(([run, { task_id: taskId }]): ProcessChange[] => {
      if (this.#tasks.has(run)) return [];
      const report = this.#reports.get(taskId);
      this.#reports.delete(taskId);
      return [{ type: "task_ended", taskId, ...report }];
    });
    const started = [...this.#tasks].flatMap(([run, task]): ProcessChange[] => {
      return before.has(run) ? [] : [{ type: "task_started", task: describeTask(task) }];
    });
    return [...ended, ...started];
  }
}
