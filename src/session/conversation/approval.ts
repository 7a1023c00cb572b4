import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { SessionName } from "../../names.ts";
import { validate } from "../options/validation.ts";
import type { ApprovalQuestion, QuestionAnswers } from "../record/approval-questions.ts";
import type { ApprovalWithdrawal } from "../record/session-event-types.ts";

/** How an approval ended. */
export type ApprovalOutcome = "approved" | "denied" | "expired" | "withdrawn";

/** How an approval ended, and with what answer. */
export interface ApprovalSettlement {
  readonly outcome: ApprovalOutcome;
  readonly by?: string;
  readonly input?: Readonly<Record<string, unknown>>;
  readonly rules?: readonly PermissionUpdate[];
  /** The answers to Claude's questions, by question. */
  readonly answers?: Readonly<Record<string, string>>;
  /** What Claude is told of a denial, or why it is told nothing. */
  readonly message?: string;
  readonly cause?: ApprovalWithdrawal;
}

/** Who answers an approval. */
export interface ApprovalAnswerer {
  /**
   * The person or program that answers, in the application's own words, up to 256 characters. The session's record
   * keeps it, and everybody who reads the turn's events sees it.
   */
  readonly by?: string;
}

const answererSchema = z.looseObject({ by: z.string().min(1).max(256).optional() });

/** Returns who answers. @throws CastellanError `INVALID_OPTIONS` */
export function answererOf(options: ApprovalAnswerer, what: string): string | undefined {
  return validate(answererSchema, options, what).by;
}

/** What an approval changes, and who gives it. */
export interface ApprovalChanges extends ApprovalAnswerer {
  readonly input?: Record<string, unknown>;
  readonly rules?: readonly PermissionUpdate[];
}

/** A tool use of Claude's that awaits a decision. Times are in milliseconds since the epoch. */
export interface Approval {
  readonly id: string;
  readonly session: SessionName;
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** The questions that Claude asks, if it asks any: with the tool `AskUserQuestion`. */
  readonly questions?: readonly ApprovalQuestion[];
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
   *
   * @throws CastellanError `INVALID_OPTIONS` if `by` is not a text of up to 256 characters
   */
  approve(changes?: ApprovalChanges): boolean;
  /**
   * Answers Claude's `questions`. A question without an answer is left out of what Claude is told; if you approve the
   * tool instead, Claude is told that the user did not answer. Returns whether this was the first answer.
   *
   * @throws CastellanError `INVALID_OPTIONS` if Claude asks no questions, if an answer is empty, names no question, or
   * chooses several options of a question without `multiSelect`, or as {@link Approval.approve}
   * @example
   * approval.answer({ "Which library should I use?": "date-fns", "Which tests?": ["unit", "end to end"] });
   */
  answer(answers: QuestionAnswers, options?: ApprovalAnswerer): boolean;
  /**
   * Denies the tool and tells Claude why; it continues without the tool. Returns whether this was the first answer.
   *
   * @throws CastellanError `INVALID_OPTIONS` as {@link Approval.approve}
   */
  deny(message?: string, options?: ApprovalAnswerer): boolean;
}
