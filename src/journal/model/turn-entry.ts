import type { JsonObject } from "./session-entry.ts";

/** What has become of a turn that was accepted. */
export type TurnEntryState = "queued" | "running" | EndedTurnState;

/** How a turn can end. */
export type EndedTurnState = "completed" | "failed" | "interrupted" | "cancelled" | "timed_out";

/**
 * How Claude Code takes the prompt of a turn: as text, as a command of its own with arguments, or as what is typed to it, where
 * commands run and files are read in. A value that is not known here is text.
 */
export type PromptKind = "text" | "command" | "typed";

/** A turn as it is accepted. */
export interface AcceptedTurn {
  /** Unlike that of any other turn in the journal. */
  readonly id: string;
  /** The canonical form of the name of its session. */
  readonly session: string;
  readonly prompt: string;
  /** Default `"text"`. */
  readonly promptKind?: PromptKind;
  /** Its place among the turns of its session that wait: the lowest goes first. */
  readonly position: number;
  /** Whether somebody has been told that it is on disk, and will come back for it. */
  readonly durable: boolean;
  /** The `timeout` and `queueTimeout` that it was asked with, in milliseconds. */
  readonly timeoutMs?: number;
  readonly queueTimeoutMs?: number;
  /** In milliseconds since the epoch. */
  readonly acceptedAt: number;
}

/** A turn and what has become of it. */
export interface TurnEntry extends AcceptedTurn {
  readonly state: TurnEntryState;
  /** How often it has been handed to a process. */
  readonly attempts: number;
  /** The id of its prompt in the transcript, of its last attempt. */
  readonly promptId?: string;
  /** Whether Claude had begun to answer or to act in the last attempt. */
  readonly touched: boolean;
  /** In milliseconds since the epoch. */
  readonly endedAt?: number;
  /** What came of it: the reply, or the error. JSON; the journal keeps it and does not look into it. */
  readonly outcome?: JsonObject;
}
