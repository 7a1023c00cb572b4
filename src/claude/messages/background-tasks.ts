import type { SDKBackgroundTasksChangedMessage, SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** Work that goes on in a process after the turn that started it. */
export type BackgroundTask = SDKBackgroundTasksChangedMessage["tasks"][number];

/** A background task in Castellan's words. */
export interface TaskDescription {
  /** The id that `stopTask` takes. */
  readonly id: string;
  /** What it is: `local_bash`, `local_agent` or another type of Claude Code's. */
  readonly type: string;
  readonly description: string;
  /** Whether it only watches something, so that a process with no other task counts as idle. */
  readonly ambient: boolean;
}

/** Returns all background tasks that run now, if `message` lists them. */
export function backgroundTasksOf(message: SDKMessage): readonly BackgroundTask[] | undefined {
  return message.type === "system" && message.subtype === "background_tasks_changed" ? message.tasks : undefined;
}

export function describeTask({
  task_id: id,
  task_type: type,
  description,
  ambient = false,
}: BackgroundTask): TaskDescription {
  return { id, type, description, ambient };
}

/** The key of one run of a task. A task that is resumed keeps its id and gets another key. */
export function runKeyOf({ run_id: run, task_id: id }: BackgroundTask): string {
  return run ?? id;
}
