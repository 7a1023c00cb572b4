import type { TaskDescription } from "../../claude/messages/background-tasks.ts";

/** A background task that runs. */
export interface RunningTask extends TaskDescription {
  /** When the task started, in milliseconds since the epoch. */
  readonly since: number;
}
