import type { Timer } from "../../clock.ts";
import type { TurnRecord } from "./turn-record.ts";

/** The turn that a process works on. */
export interface CurrentTurn {
  readonly record: TurnRecord;
  /** The id of its prompt, by which the process says which prompt a message answers. */
  readonly uuid: string;
  /** When the process got it, on the monotonic clock. */
  readonly since: number;
  /** The same in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether the process has taken it up; what it says before that belongs to something else. */
  begun: boolean;
  /** Runs while the process has been told to stop the turn; ends in its death. */
  stopping: Timer | undefined;
  /** Whether it has been written down that Claude has begun to answer or to act. */
  touched: boolean;
  /** How another turn takes its place, if one does; after a rollback it is taken out of the conversation when it has stopped. */
  displaced: "interrupt" | "rollback" | undefined;
  /** Whether its key was refused and has changed, so that another process is to run it. */
  anew: boolean;
  /** Ends it, once its result has come and it is being taken out of the conversation. */
  end: (() => void) | undefined;
}
