import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import type { SessionName } from "../../names.ts";

/** How an approval ended. */
export type ApprovalOutcome = "approved" | "denied" | "expired" | "withdrawn";

/** A tool use of Claude's that awaits a decision. Times are in milliseconds since the epoch. */
export interface Approval {
  readonly id: string;
  readonly session: SessionName;
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** The question as a sentence, if Claude Code provides one. */
  readonly title?: string;
  /** The reason for asking, if Claude Code provides one. */
  readonly reason?: string;
  /** Rules that would make the question unnecessary next time; pass them to `approve`. */
  readonly suggestions: readonly PermissionUpdate[];
  /** The id of the tool call, if Claude Code tells it. */
  readonly toolUseId?: string;
  /** The turn in which Claude asks, if one runs. */
  readonly turnId?: string;
  readonly requestedAt: number;
  /** When it is denied without an answer. */
  readonly expiresAt: number;
  /**
   * Lets the tool run, optionally with changed input or with rules for the future. Rules for `"session"` last as long
   * as the conversation, across hibernation, crashes and restarts; rules for settings files last as long as the files
   * contain them. Returns whether this was the first answer.
   */
  approve(changes?: {
    readonly input?: Record<string, unknown>;
    readonly rules?: readonly PermissionUpdate[];
  }): boolean;
  /** Denies the tool and tells Claude why; it continues without the tool. Returns whether this was the first answer. */
  deny(message?: string): boolean;
}
