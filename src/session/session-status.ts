import type { ExitRecord } from "../errors.ts";
import type { SessionName } from "../names.ts";
import type { Wait } from "./hold.ts";
import type { SessionState } from "./session-state.ts";

/** What is known of a session at a moment, without asking anybody. Times are milliseconds since the epoch. */
export interface SessionStatus {
  readonly name: SessionName;
  readonly state: SessionState["name"];
  /** Process id of Claude Code, from its start to its end. */
  readonly pid?: number;
  /** When the process was ready. */
  readonly startedAt?: number;
  /** Claude's id of the conversation. */
  readonly conversationId: string;
  /** How many processes this session has had. */
  readonly activation: number;
  /** When the process last said anything. */
  readonly lastSignOfLife?: number;
  /** What turns are held back for, and until when, if they are. */
  readonly waitingFor?: Wait;
  /** How many turns wait. */
  readonly mailbox: number;
  /** How many times the session has been started again after an exit that nobody asked for. */
  readonly restarts: number;
  readonly lastExit?: ExitRecord;
  /** When the next start is due, while one waits for its back-off. */
  readonly retryAt?: number;
}
