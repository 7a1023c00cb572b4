import type { Child, ChildExit, ChildType, Restart } from "./child-spec.ts";

/** An exit and when it was seen, in milliseconds since the epoch. */
export interface RecordedExit {
  readonly exit: ChildExit;
  readonly at: number;
}

/** What a supervisor knows of a child at a moment. */
export interface ChildInfo {
  readonly id: string;
  /** The child while it is up. */
  readonly child: Child | undefined;
  /**
   * `restarting` from the moment a restart is decided until the child is up; `terminated` also while it is being
   * stopped.
   */
  readonly state: "running" | "starting" | "restarting" | "quarantined" | "terminated";
  readonly type: ChildType;
  readonly restart: Restart;
  readonly significant: boolean;
  /** How many restarts there have been in the current series of crashes. */
  readonly restarts: number;
  /** The last ten exits that were not asked for, failed starts among them, oldest first. */
  readonly lastExits: readonly RecordedExit[];
  /** When the next restart is due, in milliseconds since the epoch, while one waits for its back-off. */
  readonly retryAt?: number;
}
