import { z } from "zod";
import { own, withoutUndefined } from "../../fields.ts";
import type { EventEntry } from "../../journal/model/event-entry.ts";
import type { Json, JsonObject } from "../../journal/model/session-entry.ts";
import type { ContentReference } from "./content.ts";
import {
  EVENT_VERSION,
  type EventTask,
  type EventText,
  type LiveEventType,
  type RecordedEvent,
  type RecordedEventFields,
  type RecordedEventType,
} from "./session-event-types.ts";

const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined);
const reference: z.ZodType<ContentReference> = z.object({
  $content: z.string(),
  size: z.number(),
  mediaType: z.string(),
});
const text: z.ZodType<EventText> = z.union([z.string(), reference]);
const usage = z.object({
  inputTokens: z.number(),
  outputTokens: z.number(),
  cacheReadInputTokens: z.number(),
  cacheCreationInputTokens: z.number(),
});
const task: z.ZodType<EventTask> = z.object({
  id: z.string(),
  type: z.string(),
  description: z.string(),
  ambient: z.boolean(),
});
const block = { text, block: z.string(), cut: z.literal(true).exactOptional() };

/** Makes a schema when it is first needed. All of them take several milliseconds, which an import does not have. */
function later<Fields>(make: () => z.ZodType<Fields>): () => z.ZodType<Fields> {
  let made: z.ZodType<Fields> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The fields of each type. Further fields, of a later release of the same version, pass. */
const SCHEMAS: { readonly [Type in RecordedEventType]: () => z.ZodType<RecordedEventFields[Type]> } = {
  turn_accepted: later(() =>
    z.looseObject({
      origin: z.enum(["caller", "task", "schedule"]),
      prompt: text.exactOptional(),
      blocks: json.exactOptional(),
      promptKind: z.enum(["text", "command", "typed"]).exactOptional(),
      by: z.string().exactOptional(),
      metadata: z.custom<JsonObject>((value) => typeof value === "object" && value !== null).exactOptional(),
    }),
  ),
  turn_started: later(() => z.looseObject({ attempt: z.int(), promptId: z.string().exactOptional() })),
  turn_retried: later(() =>
    z.looseObject({
      reason: z.enum(["process_ended", "restarted", "not_sent", "unpaid", "quota", "overload"]),
    }),
  ),
  turn_ended: later(() =>
    z.looseObject({
      state: z.enum(["completed", "failed", "interrupted", "cancelled", "timed_out"]),
      error: z.object({ code: z.string(), message: z.string(), class: z.string().exactOptional() }).exactOptional(),
      stopReason: z.string().nullable().exactOptional(),
      command: z.string().exactOptional(),
      structured: json.exactOptional(),
      usage: usage.exactOptional(),
      costUsd: z.number().exactOptional(),
      durationMs: z.number().exactOptional(),
      model: z.string().exactOptional(),
      conversation: z.enum(["kept", "undone", "cut_back"]).exactOptional(),
      cut: z.literal(true).exactOptional(),
    }),
  ),
  steered: later(() => z.looseObject({ id: z.string(), text, by: z.string().exactOptional() })),
  steer_settled: later(() => z.looseObject({ id: z.string(), outcome: z.enum(["read", "unread"]) })),
  text: later(() => z.looseObject(block)),
  thinking: later(() => z.looseObject(block)),
  tool_use: later(() =>
    z.looseObject({
      id: z.string(),
      name: z.string(),
      input: json,
      message: z.string().exactOptional(),
    }),
  ),
  tool_result: later(() =>
    z.looseObject({
      toolUseId: z.string(),
      output: json,
      failed: z.boolean(),
      taskId: z.string().exactOptional(),
    }),
  ),
  approval_requested: later(() =>
    z.looseObject({
      id: z.string(),
      tool: z.string(),
      toolUseId: z.string().exactOptional(),
      input: json,
      title: z.string().exactOptional(),
      reason: z.string().exactOptional(),
      suggestions: json,
      expiresAt: z.number(),
    }),
  ),
  approval_settled: later(() =>
    z.looseObject({
      id: z.string(),
      outcome: z.enum(["approved", "denied", "expired", "withdrawn"]),
      tool: z.string().exactOptional(),
      toolUseId: z.string().exactOptional(),
      by: z.string().exactOptional(),
      input: json.exactOptional(),
      rules: json.exactOptional(),
      answers: z.record(z.string(), z.string()).exactOptional(),
      message: z.string().exactOptional(),
      cause: z
        .enum(["turn_stopped", "taken_back", "process_ended", "session_stopped", "moved", "application_ended"])
        .exactOptional(),
    }),
  ),
  started: later(() =>
    z.looseObject({
      reason: z.enum(["start", "restart", "wake", "replace"]),
      conversationId: z.string(),
      pid: z.int().exactOptional(),
    }),
  ),
  exit: later(() =>
    z.looseObject({
      exit: z.looseObject({
        class: z.enum([
          "done",
          "crash",
          "stalled",
          "out_of_memory",
          "bad_config",
          "auth",
          "quota",
          "overload",
          "conversation_missing",
          "conversation_exists",
        ]),
        message: z.string(),
        at: z.number(),
        pid: z.int().exactOptional(),
        code: z.int().exactOptional(),
        signal: z.string().exactOptional(),
        stderr: z.string().exactOptional(),
      }),
    }),
  ),
  quarantined: later(() => z.looseObject({})),
  hibernated: later(() => z.looseObject({})),
  conversation: later(() =>
    z.looseObject({
      conversationId: z.string(),
      change: z.enum(["cleared", "copied", "cut_back"]),
    }),
  ),
  compacted: later(() =>
    z.looseObject({
      trigger: z.enum(["manual", "auto"]),
      tokensBefore: z.number().exactOptional(),
      tokensAfter: z.number().exactOptional(),
    }),
  ),
  model_changed: later(() => z.looseObject({ model: z.string() })),
  permission_mode_changed: later(() => z.looseObject({ mode: z.string() })),
  spent: later(() => z.looseObject({ models: z.array(z.object({ model: z.string(), costUsd: z.number(), usage })) })),
  fault: later(() =>
    z.looseObject({
      fault: z.looseObject({
        kind: z.enum([
          "mirror_error",
          "session_writes_lost",
          "wakeups_lost",
          "conversation_cut_back",
          "conversation_behind",
          "mcp_server_failed",
        ]),
        message: z.string(),
        server: z.string().exactOptional(),
        at: z.number(),
      }),
    }),
  ),
  task_started: later(() => z.looseObject({ task })),
  task_overdue: later(() => z.looseObject({ task })),
  task_ended: later(() =>
    z.looseObject({
      taskId: z.string(),
      status: z.string().exactOptional(),
      summary: text.exactOptional(),
    }),
  ),
  wakeup_scheduled: later(() =>
    z.looseObject({ id: z.string(), due: z.number().exactOptional(), recurring: z.boolean() }),
  ),
  wakeup_fired: later(() => z.looseObject({ id: z.string() })),
  wakeup_cancelled: later(() => z.looseObject({ id: z.string() })),
  message_recorded: later(() => z.looseObject({ raw: json })),
  noted: later(() =>
    z.looseObject({
      id: z.string(),
      kind: z.string(),
      data: json.exactOptional(),
      by: z.string().exactOptional(),
    }),
  ),
  lost: later(() => z.looseObject({ events: z.int() })),
};

/** The names of the recorded events. */
export const recordedEventTypes: readonly RecordedEventType[] = Object.keys(SCHEMAS) as RecordedEventType[];

const LIVE: { readonly [Type in LiveEventType]: true } = {
  text_delta: true,
  thinking_delta: true,
  tool_input_delta: true,
  state: true,
  mcp_servers: true,
  message: true,
  pruned: true,
};

/** The names of the live events. */
export const liveEventTypes: readonly LiveEventType[] = Object.keys(LIVE) as LiveEventType[];

/** Reads an event of the journal. One that this release cannot read is returned as `unknown`, with its body. */
export function readEvent({ number, at, type, turn, body }: EventEntry): RecordedEvent {
  const { v, parent, ...fields } = body;
  const envelope = { v: typeof v === "number" ? v : 0, number, at, ...withoutUndefined({ turnId: turn }) };
  const subject = typeof parent === "string" ? { ...envelope, parent } : envelope;
  const isReadable = v === EVENT_VERSION && (turn !== undefined || !type.startsWith("turn_"));
  const schema = isReadable ? own<() => z.ZodType<object>>(SCHEMAS, type)?.() : undefined;
  const read = schema?.safeParse(fields);
  if (read?.success !== true) return { ...subject, type: "unknown", name: type, body };
  // The schema of a type gives its fields.
  return { ...subject, type, ...read.data } as RecordedEvent;
}

/** Like {@link readEvent}, for an entry that this release has just made. */
export function eventOf({ number, at, type, turn, body }: EventEntry): RecordedEvent {
  // A body made from a draft has the fields of its type.
  return { number, at, ...(turn !== undefined && { turnId: turn }), type, ...body } as RecordedEvent;
}
