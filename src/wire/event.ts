import { z } from "zod";
import type { LiveEvent, RecordedEvent, SessionEvent } from "./event-types.ts";
import { exitSchema } from "./exit.ts";
import { jsonObjectSchema, jsonSchema } from "./json.ts";
import { faultSchema, mcpServerSchema, originSchema, stateSchema } from "./session-status.ts";
import { modelSpendingSchema, usageSchema } from "./usage.ts";

const reference = z
  .object({ $content: z.string().describe("SHA-256, in hexadecimal."), size: z.number(), mediaType: z.string() })
  .meta({ id: "ContentReference", description: "A text over 64 kB or binary data, which `getContent` returns." });

const text = z.union([z.string(), reference]).meta({ id: "EventText" });

const task = z
  .object({ id: z.string(), type: z.string(), description: z.string(), ambient: z.boolean() })
  .meta({ id: "EventTask" });

const subject = {
  turnId: z.string().optional(),
  parent: z.string().optional().describe("The tool call that started the subagent that it is about."),
};

const recorded = {
  v: z.number(),
  number: z.int().describe("From 1, without gaps for the life of the session's name."),
  at: z.number(),
};

const live = { at: z.number(), after: z.number().describe("The number of the last recorded event before it.") };

/** Builds the schema of a recorded event. Later releases may add fields. */
function event<Type extends string, Shape extends z.core.$ZodShape>(
  type: Type,
  shape: Shape,
): z.ZodObject<typeof recorded & typeof subject & { type: z.ZodLiteral<Type> } & Shape> {
  return z.object({ ...recorded, ...subject, type: z.literal(type), ...shape });
}

/** Builds the schema of a recorded event that always belongs to a turn. */
function turnEvent<Type extends string, Shape extends z.core.$ZodShape>(
  type: Type,
  shape: Shape,
): z.ZodObject<
  typeof recorded & Pick<typeof subject, "parent"> & { turnId: z.ZodString; type: z.ZodLiteral<Type> } & Shape
> {
  return z.object({ ...recorded, parent: subject.parent, turnId: z.string(), type: z.literal(type), ...shape });
}

function liveEvent<Type extends string, Shape extends z.core.$ZodShape>(
  type: Type,
  shape: Shape,
): z.ZodObject<typeof live & typeof subject & { type: z.ZodLiteral<Type> } & Shape> {
  return z.object({ ...live, ...subject, type: z.literal(type), ...shape });
}

const block = { text, block: z.string(), cut: z.literal(true).optional() };

const RECORDED = [
  turnEvent("turn_accepted", {
    origin: originSchema,
    prompt: text.optional(),
    blocks: jsonSchema.optional(),
    promptKind: z.enum(["text", "command", "typed"]).optional(),
    by: z.string().optional(),
    metadata: jsonObjectSchema.optional(),
  }),
  turnEvent("turn_started", { attempt: z.int(), promptId: z.string().optional() }),
  turnEvent("turn_retried", { reason: z.string() }),
  turnEvent("turn_ended", {
    state: z.enum(["completed", "failed", "interrupted", "cancelled", "timed_out"]),
    error: z.object({ code: z.string(), message: z.string(), class: z.string().optional() }).optional(),
    stopReason: z.string().nullable().optional(),
    command: z.string().optional(),
    structured: jsonSchema.optional(),
    usage: usageSchema.optional(),
    costUsd: z.number().optional(),
    durationMs: z.number().optional(),
    model: z.string().optional(),
    conversation: z.enum(["kept", "undone", "cut_back"]).optional(),
    cut: z.literal(true).optional(),
  }),
  event("steered", { id: z.string(), text, by: z.string().optional() }),
  event("steer_settled", { id: z.string(), outcome: z.enum(["read", "unread"]) }),
  event("text", block),
  event("thinking", block),
  event("tool_use", { id: z.string(), name: z.string(), input: jsonSchema, message: z.string().optional() }),
  event("tool_result", {
    toolUseId: z.string(),
    output: jsonSchema,
    failed: z.boolean(),
    taskId: z.string().optional(),
  }),
  event("approval_requested", {
    id: z.string(),
    tool: z.string(),
    toolUseId: z.string().optional(),
    input: jsonSchema,
    title: z.string().optional(),
    reason: z.string().optional(),
    suggestions: jsonSchema,
    expiresAt: z.number(),
  }),
  event("approval_settled", {
    id: z.string(),
    outcome: z.enum(["approved", "denied", "expired", "withdrawn"]),
    tool: z.string().optional(),
    toolUseId: z.string().optional(),
    by: z.string().optional(),
    input: jsonSchema.optional(),
    rules: jsonSchema.optional(),
    answers: z.record(z.string(), z.string()).optional(),
    message: z.string().optional(),
    cause: z.string().optional(),
  }),
  event("started", {
    reason: z.enum(["start", "restart", "wake", "replace"]),
    conversationId: z.string(),
    pid: z.int().optional(),
  }),
  event("exit", { exit: exitSchema }),
  event("quarantined", {}),
  event("hibernated", {}),
  event("conversation", { conversationId: z.string(), change: z.enum(["cleared", "copied", "cut_back"]) }),
  event("compacted", {
    trigger: z.enum(["manual", "auto"]),
    tokensBefore: z.number().optional(),
    tokensAfter: z.number().optional(),
  }),
  event("model_changed", { model: z.string() }),
  event("permission_mode_changed", { mode: z.string() }),
  event("spent", { models: z.array(modelSpendingSchema).readonly() }),
  event("fault", { fault: faultSchema }),
  event("task_started", { task }),
  event("task_overdue", { task }),
  event("task_ended", { taskId: z.string(), status: z.string().optional(), summary: text.optional() }),
  event("wakeup_scheduled", { id: z.string(), due: z.number().optional(), recurring: z.boolean() }),
  event("wakeup_fired", { id: z.string() }),
  event("wakeup_cancelled", { id: z.string() }),
  event("message_recorded", { raw: jsonSchema }),
  event("noted", { id: z.string(), kind: z.string(), data: jsonSchema.optional(), by: z.string().optional() }),
  event("lost", { events: z.int() }),
  event("unknown", { name: z.string(), body: jsonObjectSchema }),
] as const;

const LIVE = [
  liveEvent("text_delta", { text: z.string(), block: z.string() }),
  liveEvent("thinking_delta", { text: z.string(), block: z.string() }),
  liveEvent("tool_input_delta", { json: z.string(), toolUseId: z.string() }),
  liveEvent("state", { state: stateSchema }),
  liveEvent("mcp_servers", { servers: z.array(mcpServerSchema).readonly() }),
  liveEvent("message", { message: jsonObjectSchema }),
  liveEvent("pruned", { oldest: z.number().describe("Events before this number are no longer kept.") }),
] as const;

export const recordedEventSchema: z.ZodType<RecordedEvent> = z
  .discriminatedUnion("type", RECORDED)
  .meta({ id: "RecordedEvent", description: "An event that the journal keeps." });

const liveEventSchema: z.ZodType<LiveEvent> = z
  .discriminatedUnion("type", LIVE)
  .meta({ id: "LiveEvent", description: "An event that only current readers see." });

export const sessionEventSchema: z.ZodType<SessionEvent> = z
  .union([recordedEventSchema, liveEventSchema])
  .meta({ id: "SessionEvent" });

const typeOf = (schema: { readonly shape: { readonly type: z.ZodLiteral } }): string => String(schema.shape.type.value);

/** The types of recorded events. */
export const recordedTypes: readonly string[] = RECORDED.map(typeOf);

/** The types of live events. */
export const liveTypes: readonly string[] = LIVE.map(typeOf);
