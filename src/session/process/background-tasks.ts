import { type BackgroundTask, describeTask, runKeyOf } from "../../claude/messages/background-tasks.ts";
import type { Timer } from "../../clock.ts";
import { SparseMap } from "../../sparse-map.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { RunningTask } from "../status/running-task.ts";

interface Watched {
  readonly task: RunningTask;
  /** When Claude Code first reported it, on the monotonic clock. */
  readonly began: number;
  timer: Timer | undefined;
}

/** The running background tasks of a process, and their time limit. */
export class BackgroundTasks {
  readonly #context: SessionContext;
  readonly #overdue: (task: RunningTask) => void;
  /** By run id: a resumed task counts as another one. */
  readonly #running = new SparseMap<string, Watched>();

  /** `overdue` is called once for each task that runs longer than `backgroundTaskTimeout`. */
  constructor(context: SessionContext, overdue: (task: RunningTask) => void) {
    this.#context = context;
    this.#overdue = overdue;
  }

  /** The running tasks, oldest first. */
  get all(): readonly RunningTask[] {
    return [...this.#running.values()].map(({ task }) => task);
  }

  /** Whether a task with this id runs. */
  has(id: string): boolean {
    return this.all.some((task) => task.id === id);
  }

  /** Updates the running tasks to exactly `tasks`. */
  changed(tasks: readonly BackgroundTask[]): void {
    const keys = new Set(tasks.map(runKeyOf));
    for (const [key, { timer }] of this.#running) {
      if (keys.has(key)) continue;
      timer?.cancel();
      this.#running.delete(key);
    }
    for (const told of tasks) {
      if (this.#running.has(runKeyOf(told))) continue;
      const task = { ...describeTask(told), since: this.#context.clock.now() };
      const watched = { task, began: this.#context.clock.monotonic(), timer: undefined };
      this.#running.set(runKeyOf(told), watched);
      this.#limit(watched);
    }
  }

  /** Applies a changed time limit. */
  relimit(): void {
    for (const watched of this.#running.values()) this.#limit(watched);
  }

  #limit(watched: Watched): void {
    watched.timer?.cancel();
    const limitMs = this.#context.settings.backgroundTaskTimeout;
    const { task, began } = watched;
    if (limitMs === undefined || task.ambient) return;
    const leftMs = Math.max(0, began + limitMs - this.#context.clock.monotonic());
    watched.timer = this.#context.clock.schedule(leftMs, () => this.#overdue(task), { background: true });
  }
}
