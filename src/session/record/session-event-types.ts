import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { McpServer } from "../../claude/mcp-servers.ts";
import type { ConversationFate, ExitRecord } from "../../errors.ts";
import type { TurnOrigin } from "../../events.ts";
import type { ApprovalEntry } from "../../journal/model/approval-entry.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { ModelSpending, Usage } from "../../journal/model/spending.ts";
import type { EndedTurnState, PromptKind } from "../../journal/model/turn-entry.ts";
import type { ContentReference } from "./content.ts";

/** The version of the event types. */
export const EVENT_VERSION = 1;

/** A text, or a reference to it if it is over 64 kB; `session.content` returns it. */
export type EventText = string | ContentReference;

/** JSON in which a {@link ContentReference} replaces each large or binary part. */
export type EventJson = Json;

/** The fields of each type of recorded event, besides those that all have. */
export interface RecordedEventFields {
  /** A turn was accepted. Without `prompt` and `blocks`, Claude Code begins it by itself. */
  turn_accepted: {
    readonly origin: TurnOrigin;
    readonly prompt?: EventText;
    /** In place of `prompt`, if the prompt has content blocks. */
    readonly blocks?: EventJson;
    readonly promptKind?: PromptKind;
    /** Who asked, in the application's own words. */
    readonly by?: string;
    /** The caller's own data. */
    readonly metadata?: JsonObject;
  };
  /** The process gets the turn's prompt, for the `attempt`-th time, from 1. */
  turn_started: { readonly attempt: number; readonly promptId?: string };
  /**
   * The turn waits again, so the turn's events since its last `turn_started` are void. `process_ended`: the process died
   * before it had touched anything; `restarted`: the application did; `not_sent`: the process did not get the prompt;
   * `unpaid`: the account still cannot pay; `quota`, `overload`: the API refused the turn of a pool's job.
   */
  turn_retried: { readonly reason: "process_ended" | "restarted" | "not_sent" | "unpaid" | "quota" | "overload" };
  /** The turn was given a message while it waited or ran. `by`: who gave it, in the application's own words. */
  steered: { readonly id: string; readonly text: EventText; readonly by?: string };
  /**
   * The model got a message of the turn (`read`), or did not before the turn ended (`unread`). After `turn_retried` the
   * model gets all messages of the turn again.
   */
  steer_settled: { readonly id: string; readonly outcome: "read" | "unread" };
  /** The turn's end. Its answer is in the turn's `text` events. */
  turn_ended: {
    readonly state: EndedTurnState;
    /**
     * `class`: of `TURN_FAILED`, that in the error's details; of `TURN_INTERRUPTED`, why the process ended, left out if
     * the turn was stopped.
     */
    readonly error?: { readonly code: string; readonly message: string; readonly class?: string };
    readonly stopReason?: string | null;
    /** The built-in command that answered instead of the model. */
    readonly command?: string;
    /** The structured answer as Claude gave it. */
    readonly structured?: EventJson;
    readonly usage?: Usage;
    readonly costUsd?: number;
    readonly durationMs?: number;
    /** The model that wrote the answer. */
    readonly model?: string;
    /** What became of the turn in the conversation, if it did not complete and that is known. */
    readonly conversation?: ConversationFate;
    /** The application ended during the turn, so events before this one may be missing. */
    readonly cut?: true;
  };
  /**
   * A block of what Claude wrote or thought. `block` is unique in the session, and equal to that of the block's deltas.
   * `cut`: the block is incomplete, because the turn ended or the API broke off.
   */
  text: { readonly text: EventText; readonly block: string; readonly cut?: true };
  thinking: { readonly text: EventText; readonly block: string; readonly cut?: true };
  /** `message` is the id of the API message with the call; the `block` of a text begins with that of its message. */
  tool_use: { readonly id: string; readonly name: string; readonly input: EventJson; readonly message?: string };
  /** `output` is text, or blocks of the Messages API. */
  /** The answer to a tool call. With `taskId`, the call goes on as that background task, until its `task_ended`. */
  tool_result: {
    readonly toolUseId: string;
    readonly output: EventJson;
    readonly failed: boolean;
    readonly taskId?: string;
  };
  /** Claude requests a permission; `session.approvals()` has the request as long as it is pending. */
  approval_requested: {
    readonly id: string;
    readonly tool: string;
    readonly toolUseId?: string;
    readonly input: EventJson;
    readonly title?: string;
    readonly reason?: string;
    /** Rules that Claude Code suggests, as in the Agent SDK. */
    readonly suggestions: EventJson;
    /** When it is denied without an answer. */
    readonly expiresAt: number;
  };
  /** A permission request was answered, expired or was withdrawn. */
  approval_settled: {
    readonly id: string;
    readonly outcome: NonNullable<ApprovalEntry["outcome"]>;
    readonly tool?: string;
    readonly toolUseId?: string;
    /** Who answered, if the application said so with the answer. */
    readonly by?: string;
    /** The input that the answer gave the tool in place of the requested one. */
    readonly input?: EventJson;
    /** The permission updates of the answer, as in the Agent SDK. */
    readonly rules?: EventJson;
    /** The answers to Claude's questions, by question. */
    readonly answers?: Readonly<Record<string, string>>;
    /** What Claude was told of a denial, or why it was told nothing. */
    readonly message?: string;
    /** Why the request was withdrawn. */
    readonly cause?: ApprovalWithdrawal;
  };
  /**
   * A process is up. `start`: the session's first since this application loaded it, which it also does after an
   * eviction; `restart`: after an unexpected exit or
   * a manual restart; `wake`: after a hibernation; `replace`: in place of one that the session ended.
   */
  started: {
    readonly reason: "start" | "restart" | "wake" | "replace";
    readonly conversationId: string;
    readonly pid?: number;
  };
  /** The process ended, expectedly or not, or could not be started. */
  exit: { readonly exit: ExitRecord };
  /** The supervisor gave up on the session until somebody restarts it. The `exit` events before it tell why. */
  quarantined: Record<never, never>;
  /** The session continues without a process until one is needed. */
  hibernated: Record<never, never>;
  /**
   * The session switched conversations or lost a part of one. `cleared`: it began an empty one, also by
   * `/clear`; `copied`: it continues a copy; `cut_back`: the conversation continues from an earlier message.
   */
  conversation: {
    readonly conversationId: string;
    readonly change: "cleared" | "copied" | "cut_back";
  };
  /** A summary replaced the earlier conversation. */
  compacted: { readonly trigger: "manual" | "auto"; readonly tokensBefore?: number; readonly tokensAfter?: number };
  model_changed: { readonly model: string };
  permission_mode_changed: { readonly mode: string };
  /** What was spent since the last such event. */
  spent: { readonly models: readonly ModelSpending[] };
  /** Something failed outside any turn; see `SessionFault`. */
  fault: {
    readonly fault: {
      readonly kind:
        | "mirror_error"
        | "session_writes_lost"
        | "wakeups_lost"
        | "conversation_cut_back"
        | "conversation_behind"
        | "mcp_server_failed";
      readonly message: string;
      /** The name of the MCP server, for a fault of one. */
      readonly server?: string;
      readonly at: number;
    };
  };
  /** A background task runs. */
  task_started: { readonly task: EventTask };
  /** A background task exceeded `backgroundTaskTimeout` and is being stopped. */
  task_overdue: { readonly task: EventTask };
  /** A background task no longer runs. `status` and `summary` are left out if Claude Code reported none. */
  task_ended: { readonly taskId: string; readonly status?: string; readonly summary?: EventText };
  /** Claude scheduled a turn for itself, due at `due` if known. */
  wakeup_scheduled: { readonly id: string; readonly due?: number; readonly recurring: boolean };
  /** A turn that was scheduled once came due. One that recurs has only its `turn_accepted`, with the origin `schedule`. */
  wakeup_fired: { readonly id: string };
  /** A scheduled turn will not come: Claude or a control cancelled it, or its process is gone. */
  wakeup_cancelled: { readonly id: string };
  /**
   * A whole message of the Agent SDK, as Claude Code sent it, if the session has `recordMessages`. It comes before the events that are
   * made of it.
   */
  message_recorded: { readonly raw: EventJson };
  /** The application added an entry of its own, with `session.note`. */
  noted: { readonly id: string; readonly kind: string; readonly data?: EventJson; readonly by?: string };
  /** The journal accepted no writes for so long that this many events, of a turn if one is named, could not be kept. */
  lost: { readonly events: number };
}

/**
 * Why a permission request was withdrawn. `turn_stopped`: its turn was interrupted, replaced or timed out;
 * `taken_back`: Claude Code no longer asks, for example because a hook has answered; `process_ended`: the process is
 * gone; `session_stopped`: the session was stopped or quarantined, or its supervisor stopped; `moved`: another node
 * takes the session over; `application_ended`: the application or its node died, as the next start has found.
 */
export type ApprovalWithdrawal =
  | "turn_stopped"
  | "taken_back"
  | "process_ended"
  | "session_stopped"
  | "moved"
  | "application_ended";

/** A background task. */
export interface EventTask {
  readonly id: string;
  /** Claude Code's type of the task: `local_bash`, `local_agent` and others. */
  readonly type: string;
  readonly description: string;
  /** Whether the task only watches something, so that the session may hibernate regardless. */
  readonly ambient: boolean;
}

/** The fields of each type of live event. */
export interface LiveEventFields {
  /** A piece of a block. The block's event follows and repeats all its pieces, unless the turn is retried. */
  text_delta: { readonly text: string; readonly block: string };
  thinking_delta: { readonly text: string; readonly block: string };
  /** A piece of a tool call's input, as JSON. */
  tool_input_delta: { readonly json: string; readonly toolUseId: string };
  /** The state that callers see. */
  state: { readonly state: EventState };
  /** The process's MCP servers, after the status of at least one changed. */
  mcp_servers: { readonly servers: readonly McpServer[] };
  /** A message of the process that belongs to no turn. */
  message: { readonly message: SDKMessage };
  /** Events that the reader asked for are no longer kept: those before number `oldest`. */
  pruned: { readonly oldest: number };
}

/** As `SessionStatus.state`. */
export type EventState =
  | "starting"
  | "restarting"
  | "idle"
  | "busy"
  | "waiting"
  | "hibernated"
  | "quarantined"
  | "stopped";

/** The names of the recorded events. */
export type RecordedEventType = keyof RecordedEventFields;

/** The names of the live events. */
export type LiveEventType = keyof LiveEventFields;

/** What an event belongs to. Events about turns as such always name theirs. */
type SubjectOf<Type extends string> = Type extends `turn_${string}`
  ? EventSubject & { readonly turnId: string }
  : EventSubject;

interface EventSubject {
  /** The turn that it belongs to, if any. */
  readonly turnId?: string;
  /** The tool call that started the subagent that it is about, if any. */
  readonly parent?: string;
}

/** An event before it has a number. */
export type EventDraft = {
  [Type in RecordedEventType]: SubjectOf<Type> & { readonly type: Type } & RecordedEventFields[Type];
}[RecordedEventType];

/** A live event before it is given to readers. */
export type LiveDraft = {
  [Type in LiveEventType]: EventSubject & { readonly type: Type } & LiveEventFields[Type];
}[LiveEventType];

interface RecordedEnvelope {
  /** The version of the event types. */
  readonly v: number;
  /** From 1, without gaps for the life of the session's name. */
  readonly number: number;
  /** In milliseconds since the epoch. */
  readonly at: number;
}

interface LiveEnvelope {
  readonly number?: undefined;
  readonly at: number;
  /** The number of the last recorded event before it. */
  readonly after: number;
}

/** An event of a type that this release does not know: another release wrote it. */
export interface UnknownEvent extends RecordedEnvelope, EventSubject {
  readonly type: "unknown";
  readonly name: string;
  readonly body: JsonObject;
}

/** An event that the journal keeps. {@link RecordedEventFields} describes the types. */
export type RecordedEvent = (RecordedEnvelope & EventDraft) | UnknownEvent;

/** An event that only current readers see. {@link LiveEventFields} describes the types. */
export type LiveEvent = LiveEnvelope & LiveDraft;

/** What a session sees and does. Recorded events have a number; live events come in between. */
export type SessionEvent = RecordedEvent | LiveEvent;
