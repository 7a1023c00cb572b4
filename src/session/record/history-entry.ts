import type { TurnOrigin } from "../../events.ts";
import type { TurnEntryState } from "../../journal/model/turn-entry.ts";
import type { ApprovalQuestion } from "./approval-questions.ts";
import type { EventJson, RecordedEvent, RecordedEventFields } from "./session-event-types.ts";

/** Which page of a session's history to read. */
export interface HistoryOptions {
  /** Only what came before this; the `next` of another page. Default: the newest page. */
  readonly before?: number | undefined;
  /** How many turns a page has at most, up to 100. Default 20. */
  readonly limit?: number;
  /** Whether turns include what Claude thought. Default `false`. */
  readonly thinking?: boolean;
}

/** A page of a session's history. */
export interface HistoryPage {
  /** In the order in which a person reads them. */
  readonly entries: readonly HistoryEntry[];
  /** The `before` of the page before this one. Left out if there is none. */
  readonly next?: number;
}

/**
 * An entry of a session's history: a turn, an event of the session outside its turns, or a notice that retention has deleted the events
 * before number `oldest`.
 */
export type HistoryEntry = HistoryTurn | SessionHappening | { readonly type: "pruned"; readonly oldest: number };

/** An event of a session that a history has as an entry of its own. Of exits, only the unexpected ones. */
export type SessionHappening = Extract<
  RecordedEvent,
  {
    readonly type:
      | "conversation"
      | "compacted"
      | "exit"
      | "quarantined"
      | "model_changed"
      | "permission_mode_changed"
      | "fault"
      | "lost";
  }
>;

/**
 * A turn as a person reads it: what was asked, what came of it, and how it ended; of a running turn, what the record has so far. Times
 * are in milliseconds since the epoch.
 */
export interface HistoryTurn
  extends Pick<RecordedEventFields["turn_accepted"], "prompt" | "blocks" | "promptKind" | "by" | "metadata">,
    Pick<
      RecordedEventFields["turn_ended"],
      "error" | "stopReason" | "command" | "structured" | "usage" | "costUsd" | "durationMs" | "model" | "conversation"
    > {
  readonly type: "turn";
  readonly id: string;
  readonly state: TurnEntryState;
  /** Left out if it is no longer known. */
  readonly origin?: TurnOrigin;
  readonly acceptedAt?: number;
  /** When the process first got the prompt. */
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** How often the process got the prompt. */
  readonly attempts: number;
  /** Why the turn ran again. `parts` has nothing of the earlier attempts except messages to the turn. */
  readonly retries: readonly HistoryRetry[];
  /** What Claude wrote and did, in order. */
  readonly parts: readonly HistoryPart[];
}

/** Why and when a turn began to wait for another attempt. */
export interface HistoryRetry extends Pick<RecordedEventFields["turn_retried"], "reason"> {
  readonly at: number;
}

/** A part of a turn, or of a subagent. */
export type HistoryPart = HistoryText | HistoryTool | HistoryApprovalPart | HistorySteer | HistoryGap;

/** What Claude wrote or thought. `cut`: it is incomplete, because the turn ended or the API broke off. */
export interface HistoryText extends Pick<RecordedEventFields["text"], "text" | "block" | "cut"> {
  readonly type: "text" | "thinking";
  readonly at: number;
}

/** A tool call. The `name` is empty if the call is missing, and only what its subagent did is kept. */
export interface HistoryTool extends Pick<RecordedEventFields["tool_use"], "id" | "name" | "input" | "message"> {
  readonly type: "tool";
  readonly at: number;
  /** Left out while the tool runs, and if the turn ended first. */
  readonly result?: Pick<RecordedEventFields["tool_result"], "output" | "failed"> & { readonly at: number };
  /** The permission requests of the call. */
  readonly approvals: readonly HistoryApproval[];
  /** What the subagent did that the call started. */
  readonly parts: readonly HistoryPart[];
}

/** A permission request, and its end once it has one. */
export interface HistoryApproval
  extends Pick<
      RecordedEventFields["approval_requested"],
      "id" | "tool" | "input" | "title" | "reason" | "suggestions" | "expiresAt"
    >,
    Partial<Pick<RecordedEventFields["approval_settled"], "outcome">>,
    Pick<RecordedEventFields["approval_settled"], "by" | "answers" | "message" | "cause"> {
  readonly at: number;
  /** The questions that Claude asks, if it asks any. */
  readonly questions?: readonly ApprovalQuestion[];
  readonly settledAt?: number;
  /** The input that the answer gave the tool in place of `input`. */
  readonly changedInput?: EventJson;
}

/** A permission request whose tool call is not in the record. */
export interface HistoryApprovalPart {
  readonly type: "approval";
  readonly approval: HistoryApproval;
}

/** A message that the turn was given with `turn.steer`. */
export interface HistorySteer extends Pick<RecordedEventFields["steered"], "id" | "text" | "by"> {
  readonly type: "steered";
  readonly at: number;
  /** Whether Claude got it. Left out while that is not known. */
  readonly outcome?: RecordedEventFields["steer_settled"]["outcome"];
}

/**
 * A place where something is missing. `not_kept`: retention deleted it, it is damaged, or the journal accepted no writes; `too_long`:
 * the turn has too many events for a page, and `turn.events()` has them all.
 */
export interface HistoryGap {
  readonly type: "missing";
  readonly reason: "not_kept" | "too_long";
}
