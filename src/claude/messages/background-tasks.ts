import type { SDKBackgroundTasksChangedMessage, SDKMessage } from "@anthropic-ai/claude-agent-sdk";

/** A background task as Claude Code reports it. */
export type BackgroundTask = SDKBackgroundTasksChangedMessage["tasks"][number];

/** A background task in Castellan's words. */
export interface TaskDescription {
  /** Identifies the task for `stopTask`. */
  readonly id: string;
  /** Claude Code's type of the task: `local_bash`, `local_agent` and others. */
  readonly type: string;
  readonly description: string;
  /** Whether the task only watches something, so that the session may hibernate regardless. */
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
