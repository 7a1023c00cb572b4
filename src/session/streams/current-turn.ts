import type { TurnResult } from "../../claude/messages/turn-result.ts";
import type { Timer } from "../../clock.ts";
import type { ModelSpending } from "../../journal/model/spending.ts";
import type { TurnRecord } from "./turn-record.ts";

/** The turn that a process works on. */
export interface CurrentTurn {
  readonly record: TurnRecord;
  /** The id of its prompt, which messages name to say which prompt they answer. */
  readonly uuid: string;
  /** When the process got the prompt, on the monotonic clock. */
  readonly since: number;
  /** When the process got the prompt, in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether the process has taken up the prompt; earlier messages belong to something else. */
  begun: boolean;
  /** Runs once the process was told to stop the turn, and kills the process when it expires. */
  stopping: Timer | undefined;
  /** Whether the journal has recorded that Claude began to answer or to act. */
  touched: boolean;
  /**
   * How another turn replaces it, if one does; after a rollback it is removed from the conversation once it has
   * stopped.
   */
  displaced: "interrupt" | "rollback" | undefined;
  /** Whether its key was refused and a different one is available, so that another process runs it again. */
  rerun: boolean;
  /** A result that does not end the turn, because the process continues it with a message that it was given. */
  held: TurnResult | undefined;
  /** What the turn has cost so far, by model. */
  readonly spent: ModelSpending[];
  /** Ends the turn; set once its result has arrived and it is being removed from the conversation. */
  end: (() => void) | undefined;
}
