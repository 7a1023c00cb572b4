import type { ExitRecord } from "./exit.ts";
import type { Json, JsonObject } from "./json.ts";
import type { McpServer, SessionFault, SessionState, TurnOrigin } from "./session-status.ts";
import type { ModelSpending, Usage } from "./usage.ts";

/** A text over 64 kB or binary data in an event, which `session.content` returns. */
export interface ContentReference {
  /** SHA-256, in hexadecimal. */
  readonly $content: string;
  /** In bytes. */
  readonly size: number;
  readonly mediaType: string;
}

/** A text, or a reference to it. */
export type EventText = string | ContentReference;

/** A background task. */
export interface EventTask {
  readonly id: string;
  readonly type: string;
  readonly description: string;
  readonly ambient: boolean;
}

/** The fields of each type of recorded event, besides those that all have. See `RecordedEventFields` of `castellan`. */
export interface RecordedEventFields {
  turn_accepted: {
    readonly origin: TurnOrigin;
    readonly prompt?: EventText | undefined;
    readonly blocks?: Json | undefined;
    readonly promptKind?: "text" | "command" | "typed" | undefined;
    /** Who asked. */
    readonly by?: string | undefined;
    readonly metadata?: JsonObject | undefined;
  };
  turn_started: { readonly attempt: number; readonly promptId?: string | undefined };
  /** The turn's events since its last `turn_started` are void. */
  turn_retried: { readonly reason: string };
  steered: { readonly id: string; readonly text: EventText; readonly by?: string | undefined };
  steer_settled: { readonly id: string; readonly outcome: "read" | "unread" };
  turn_ended: {
    readonly state: "completed" | "failed" | "interrupted" | "cancelled" | "timed_out";
    /** `class`: of `TURN_FAILED`, why Claude failed; of `TURN_INTERRUPTED`, why the process ended. */
    readonly error?:
      | { readonly code: string; readonly message: string; readonly class?: string | undefined }
      | undefined;
    readonly stopReason?: string | null | undefined;
    readonly command?: string | undefined;
    readonly structured?: Json | undefined;
    readonly usage?: Usage | undefined;
    readonly costUsd?: number | undefined;
    readonly durationMs?: number | undefined;
    readonly model?: string | undefined;
    readonly conversation?: "kept" | "undone" | "cut_back" | undefined;
    readonly cut?: true | undefined;
  };
  text: { readonly text: EventText; readonly block: string; readonly cut?: true | undefined };
  thinking: { readonly text: EventText; readonly block: string; readonly cut?: true | undefined };
  tool_use: { readonly id: string; readonly name: string; readonly input: Json; readonly message?: string | undefined };
  /** With `taskId`, the call goes on as that background task, until its `task_ended`. */
  tool_result: {
    readonly toolUseId: string;
    readonly output: Json;
    readonly failed: boolean;
    readonly taskId?: string | undefined;
  };
  approval_requested: {
    readonly id: string;
    readonly tool: string;
    readonly toolUseId?: string | undefined;
    readonly input: Json;
    readonly title?: string | undefined;
    readonly reason?: string | undefined;
    readonly suggestions: Json;
    readonly expiresAt: number;
  };
  approval_settled: {
    readonly id: string;
    readonly outcome: "approved" | "denied" | "expired" | "withdrawn";
    readonly tool?: string | undefined;
    readonly toolUseId?: string | undefined;
    readonly by?: string | undefined;
    readonly input?: Json | undefined;
    readonly rules?: Json | undefined;
    readonly answers?: Readonly<Record<string, string>> | undefined;
    readonly message?: string | undefined;
    readonly cause?: string | undefined;
  };
  started: {
    readonly reason: "start" | "restart" | "wake" | "replace";
    readonly conversationId: string;
    readonly pid?: number | undefined;
  };
  exit: { readonly exit: ExitRecord };
  quarantined: Record<never, never>;
  hibernated: Record<never, never>;
  conversation: { readonly conversationId: string; readonly change: "cleared" | "copied" | "cut_back" };
  compacted: {
    readonly trigger: "manual" | "auto";
    readonly tokensBefore?: number | undefined;
    readonly tokensAfter?: number | undefined;
  };
  model_changed: { readonly model: string };
  permission_mode_changed: { readonly mode: string };
  spent: { readonly models: readonly ModelSpending[] };
  fault: { readonly fault: SessionFault };
  task_started: { readonly task: EventTask };
  task_overdue: { readonly task: EventTask };
  task_ended: {
    readonly taskId: string;
    readonly status?: string | undefined;
    readonly summary?: EventText | undefined;
  };
  wakeup_scheduled: { readonly id: string; readonly due?: number | undefined; readonly recurring: boolean };
  wakeup_fired: { readonly id: string };
  wakeup_cancelled: { readonly id: string };
  /** The application added an entry of its own. */
  noted: {
    readonly id: string;
    readonly kind: string;
    readonly data?: Json | undefined;
    readonly by?: string | undefined;
  };
  /** A message of the Agent SDK, of a session with `recordMessages`. */
  message_recorded: { readonly raw: Json };
  lost: { readonly events: number };
  /** An event that another release wrote. */
  unknown: { readonly name: string; readonly body: JsonObject };
}

/** The fields of each type of live event. */
export interface LiveEventFields {
  text_delta: { readonly text: string; readonly block: string };
  thinking_delta: { readonly text: string; readonly block: string };
  tool_input_delta: { readonly json: string; readonly toolUseId: string };
  state: { readonly state: SessionState };
  mcp_servers: { readonly servers: readonly McpServer[] };
  /** A message of the process that belongs to no turn, as in the Agent SDK. */
  message: { readonly message: JsonObject };
  /** Events before number `oldest` are no longer kept. */
  pruned: { readonly oldest: number };
}

interface EventSubject {
  /** The turn that it belongs to, if any. */
  readonly turnId?: string | undefined;
  /** The tool call that started the subagent that it is about, if any. */
  readonly parent?: string | undefined;
}

type SubjectOf<Type extends string> = Type extends `turn_${string}`
  ? EventSubject & { readonly turnId: string }
  : EventSubject;

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

/** An event that the journal keeps. */
export type RecordedEvent = {
  [Type in keyof RecordedEventFields]: RecordedEnvelope &
    SubjectOf<Type> & { readonly type: Type } & RecordedEventFields[Type];
}[keyof RecordedEventFields];

/** An event that only current readers see. */
export type LiveEvent = {
  [Type in keyof LiveEventFields]: LiveEnvelope & EventSubject & { readonly type: Type } & LiveEventFields[Type];
}[keyof LiveEventFields];

/** An event of a session, recorded or live. */
export type SessionEvent = RecordedEvent | LiveEvent;

/** Which past events to read: the last ones, those before a number, or those after one. */
export interface EventPageQuery {
  /** Only events with a lower number, the highest first: `next` of a page that was read so. Default: the last events. */
  readonly before?: number | undefined;
  /** Only events with a higher number, the lowest first: `next` of a page that was read so. Not with `before`. */
  readonly after?: number | undefined;
  /** Only events of these types. */
  readonly types?: readonly RecordedEvent["type"][] | undefined;
  /** Only events of the turn with this id. */
  readonly turn?: string | undefined;
  /** At most this many, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A page of past events. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  /** What to pass as `before` or `after` for the next page; `null` after the last page. */
  readonly next: number | null;
}

/** Which events to stream. */
export interface EventStreamQuery {
  /** Only events after the recorded event with this number; 0 for all. Default: events from now on. */
  readonly after?: number | undefined;
  /** Only events of these types. Default: all recorded ones, `state`, `mcp_servers` and `pruned`. */
  readonly types?: readonly SessionEvent["type"][] | undefined;
  /** Only events of the turn with this id, until it ends. */
  readonly turn?: string | undefined;
  /** Whether to include the deltas of texts, thoughts and tool inputs. Default `false`. */
  readonly deltas?: boolean | undefined;
}
