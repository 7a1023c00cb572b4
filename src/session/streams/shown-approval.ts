import { withoutUndefined } from "../../fields.ts";
import { type ApprovalQuestion, questionsIn } from "../record/approval-questions.ts";
import type { EventJson, RecordedEventFields, SessionEvent } from "../record/session-event-types.ts";

/** A permission request as a response sends it. Answer it by its `id`, see `Session.approvals`. */
export interface ShownApproval {
  readonly id: string;
  readonly tool: string;
  readonly toolUseId?: string;
  readonly input: EventJson;
  /** The questions that Claude asks, if it asks any. */
  readonly questions?: readonly ApprovalQuestion[];
  readonly title?: string;
  readonly reason?: string;
  /** Rules that Claude Code suggests, as in the Agent SDK. */
  readonly suggestions: EventJson;
  /** When it is denied without an answer, in milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** The end of a permission request as a response sends it. */
export interface ShownApprovalEnd
  extends Pick<
    RecordedEventFields["approval_settled"],
    "id" | "tool" | "toolUseId" | "outcome" | "by" | "answers" | "message" | "cause"
  > {}

/** The types of the events from which these are made. */
export const APPROVAL_EVENTS = ["approval_requested", "approval_settled"] as const;

/** Returns the permission request of an event, or undefined. */
export function shownApproval(event: SessionEvent): ShownApproval | undefined {
  if (event.type !== "approval_requested") return undefined;
  const { id, tool, toolUseId, input, title, reason, suggestions, expiresAt } = event;
  const questions = questionsIn(tool, input);
  return { id, tool, input, suggestions, expiresAt, ...withoutUndefined({ toolUseId, questions, title, reason }) };
}

/** Returns the end of a permission request from an event, or undefined. */
export function shownApprovalEnd(event: SessionEvent): ShownApprovalEnd | undefined {
  if (event.type !== "approval_settled") return undefined;
  const { id, tool, toolUseId, outcome, by, answers, message, cause } = event;
  return { id, outcome, ...withoutUndefined({ tool, toolUseId, by, answers, message, cause }) };
}
