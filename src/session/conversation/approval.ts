import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import type { SessionName } from "../../names.ts";

/** How an approval came to its end. */
export type ApprovalOutcome = "approved" | "denied" | "expired" | "withdrawn";

/** A tool that Claude wants to use and somebody has to decide on. Times are milliseconds since the epoch. */
export interface Approval {
  readonly id: string;
  readonly session: SessionName;
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** The question as a sentence, if Claude Code has put it into one. */
  readonly title?: string;
  /** What speaks against it, if Claude Code says so. */
  readonly reason?: string;
  /** Rules that would spare the question the next time; to be given to `approve`. */
  readonly suggestions: readonly PermissionUpdate[];
  readonly requestedAt: number;
  /** When it is denied if nobody has answered. */
  readonly expiresAt: number;
  /**
   * Lets the tool run, optionally with another input or with rules for the future: those for `"session"` hold as long as the conversation,
   * over hibernation, crashes and restarts; those for files of settings as long as they stand there. Whether this was the first answer.
   */
  approve(changes?: {
    readonly input?: Record<string, unknown>;
    readonly rules?: readonly PermissionUpdate[];
  }): boolean;
  /** Tells Claude why not; it goes on without the tool. Whether this was the first answer. */
  deny(message?: string): boolean;
}
