import { z } from "zod";
import { type WireDuration, wireDurationSchema } from "./duration.ts";
import { errorSchema, type WireError } from "./error.ts";
import { type Json, type JsonObject, jsonObjectSchema, jsonSchema } from "./json.ts";
import { nameSchema, type WireName } from "./name.ts";
import { promptSchema, type WirePrompt } from "./prompt.ts";
import { originSchema, type TurnOrigin } from "./session-status.ts";
import { type ModelSpending, modelSpendingSchema, type Usage, usageSchema } from "./usage.ts";

/** The state of a turn. */
export type TurnState =
  | "accepted"
  | "queued"
  | "running"
  | "completed"
  | "failed"
  | "interrupted"
  | "cancelled"
  | "timed_out";

/** A prompt for a session. */
export interface EnqueueTurn {
  readonly prompt: WirePrompt;
  /** Makes retries safe: the same key returns the same turn. Up to 512 characters. Also as the header `Idempotency-Key`. */
  readonly idempotencyKey?: string | undefined;
  /** The caller's own data, a JSON object of up to 16 kB. */
  readonly metadata?: JsonObject | undefined;
  readonly timeout?: WireDuration | undefined;
  readonly queueTimeout?: WireDuration | undefined;
  /** What to do if the session is busy. Default: the session's option. `steer` is not for global sessions. */
  readonly whenBusy?: "enqueue" | "reject" | "interrupt" | "rollback" | "steer" | undefined;
}

/** The id of a turn that was accepted. */
export interface AcceptedTurn {
  readonly id: string;
}

/** A prompt that was accepted, and what became of it. */
export interface SubmittedTurn extends AcceptedTurn {
  /** The turn, if the request waited for it and it has ended. */
  readonly turn?: Turn | undefined;
}

/** The result of a completed turn. */
export interface Reply {
  readonly text: string;
  readonly command?: string | undefined;
  readonly structured?: Json | undefined;
  readonly usage: Usage;
  /** US dollars, as Claude Code estimates them. */
  readonly costUsd: number;
  readonly model?: string | undefined;
  readonly models: readonly ModelSpending[];
  /** Claude's id of the conversation. */
  readonly sessionId: string;
  readonly turnId: string;
  readonly stopReason: string | null;
  readonly durationMs: number;
}

/** A turn of a session. */
export interface Turn {
  readonly id: string;
  readonly state: TurnState;
  readonly origin: TurnOrigin;
  /** Who asked: the id of the caller's token, or what the application told. */
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly promptId?: string | undefined;
  /** Whether Claude has begun to answer or to act. Also `true` if unknown. */
  readonly touched: boolean;
  /** Of a completed turn. */
  readonly reply?: Reply | undefined;
  /** Why the turn did not complete. */
  readonly error?: WireError | undefined;
}

/** A turn in lists. Times are in milliseconds since the epoch. */
export interface TurnSummary {
  readonly id: string;
  readonly state: Exclude<TurnState, "accepted">;
  readonly origin: TurnOrigin;
  /** Who asked: the id of the caller's token, or what the application told. */
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  /** The beginning of the prompt, at most 1,000 characters. */
  readonly prompt: string;
  readonly promptId?: string | undefined;
  readonly attempts: number;
  readonly acceptedAt: number;
  readonly endedAt?: number | undefined;
  readonly costUsd?: number | undefined;
  readonly model?: string | undefined;
  /** Of a pool's turn: the member that has or had it. Left out if no member took it. */
  readonly member?: WireName | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
}

/** Which turns to list, the newest first. */
export interface TurnListQuery {
  readonly state?: readonly Exclude<TurnState, "accepted">[] | undefined;
  /** Only turns before the one with this id: `next` of the page before. */
  readonly before?: string | undefined;
  /** At most this many, up to 1,000. Default 100. */
  readonly limit?: number | undefined;
}

/** A page of turns, the newest first. */
export interface TurnPage {
  readonly turns: readonly TurnSummary[];
  /** What to pass as `before` for the next page; `null` after the last page. */
  readonly next: string | null;
}

/** How long to wait for the end of a turn. */
export interface TurnQuery {
  /** Up to 60,000 ms. The answer comes then at the latest, and may show an unfinished turn. Default: no wait. */
  readonly waitMs?: number | undefined;
}

/** A message to a turn that waits or runs. */
export interface SteerTurn {
  readonly text: string;
  /** What to do if the turn takes no message. Default `reject`. */
  readonly afterEnd?: "reject" | "enqueue" | undefined;
}

const BY = "Who asked: the id of the caller's token, or what the application told.";

const LISTED_STATES = ["queued", "running", "completed", "failed", "interrupted", "cancelled", "timed_out"] as const;

/** The fields that every accepted prompt has. */
export const enqueueFields: {
  readonly prompt: z.ZodType<WirePrompt>;
  readonly idempotencyKey: z.ZodOptional<z.ZodString>;
  readonly metadata: z.ZodOptional<z.ZodType<JsonObject>>;
  readonly timeout: z.ZodOptional<z.ZodType<WireDuration>>;
} = {
  prompt: promptSchema,
  idempotencyKey: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .describe("Makes retries safe: the same key returns the same turn. Also as the header `Idempotency-Key`."),
  metadata: jsonObjectSchema.optional().describe("The caller's own data, up to 16 kB."),
  timeout: wireDurationSchema.optional(),
};

export const enqueueTurnSchema: z.ZodType<EnqueueTurn> = z
  .strictObject({
    ...enqueueFields,
    queueTimeout: wireDurationSchema.optional(),
    whenBusy: z.enum(["enqueue", "reject", "interrupt", "rollback", "steer"]).optional(),
  })
  .meta({ id: "EnqueueTurn" });

export const acceptedTurnSchema: z.ZodType<AcceptedTurn> = z.object({ id: z.string() }).meta({ id: "AcceptedTurn" });

const replySchema = z
  .object({
    text: z.string(),
    command: z.string().optional(),
    structured: jsonSchema.optional(),
    usage: usageSchema,
    costUsd: z.number(),
    model: z.string().optional(),
    models: z.array(modelSpendingSchema).readonly(),
    sessionId: z.string().describe("Claude's id of the conversation."),
    turnId: z.string(),
    stopReason: z.string().nullable(),
    durationMs: z.number(),
  })
  .meta({ id: "Reply" });

export const turnSchema: z.ZodType<Turn> = z
  .object({
    id: z.string(),
    state: z.enum(["accepted", ...LISTED_STATES]),
    origin: originSchema,
    by: z.string().optional().describe(BY),
    metadata: jsonObjectSchema.optional(),
    promptId: z.string().optional(),
    touched: z.boolean().describe("Whether Claude has begun to answer or to act. Also `true` if unknown."),
    reply: replySchema.optional().describe("Of a completed turn."),
    error: errorSchema.optional().describe("Why the turn did not complete."),
  })
  .meta({ id: "Turn" });

export const submittedTurnSchema: z.ZodType<SubmittedTurn> = z
  .object({
    id: z.string(),
    turn: turnSchema.optional().describe("The turn, if the request waited for it and it has ended."),
  })
  .meta({ id: "SubmittedTurn" });

const turnSummarySchema = z
  .object({
    id: z.string(),
    state: z.enum(LISTED_STATES),
    origin: originSchema,
    by: z.string().optional().describe(BY),
    metadata: jsonObjectSchema.optional(),
    prompt: z.string().describe("The beginning of the prompt, at most 1,000 characters."),
    promptId: z.string().optional(),
    attempts: z.number(),
    acceptedAt: z.number(),
    endedAt: z.number().optional(),
    costUsd: z.number().optional(),
    model: z.string().optional(),
    member: nameSchema
      .optional()
      .describe("Of a pool's turn: the member that has or had it. Left out if no member took it."),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
  })
  .meta({ id: "TurnSummary" });

export const turnListSchema: z.ZodType<TurnListQuery> = z.strictObject({
  state: z.array(z.enum(LISTED_STATES)).readonly().optional().describe("Default: all."),
  before: z.string().optional().describe("`next` of the page before."),
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe("At most this many. Default 100."),
});

export const turnPageSchema: z.ZodType<TurnPage> = z
  .object({
    turns: z.array(turnSummarySchema).readonly(),
    next: z.string().nullable().describe("What to pass as `before` for the next page; `null` after the last page."),
  })
  .meta({ id: "TurnPage" });

const waitMsSchema = z.coerce.number().int().min(0).max(60_000).optional();

export const submitQuerySchema: z.ZodType<TurnQuery> = z.strictObject({
  waitMs: waitMsSchema.describe(
    "Waits so long for the turn to end, in milliseconds. The head of the answer comes 100 ms after the turn is in the journal at " +
      "the latest, its body with the end of the turn, or without `turn` after this time. Needs the scope `read`, too. Default: no wait.",
  ),
});

export const turnQuerySchema: z.ZodType<TurnQuery> = z.strictObject({
  waitMs: waitMsSchema.describe(
    "Waits so long for the turn to end, in milliseconds. The answer may show an unfinished turn. Default: no wait.",
  ),
});

export const steerTurnSchema: z.ZodType<SteerTurn> = z
  .strictObject({
    text: z.string(),
    afterEnd: z.enum(["reject", "enqueue"]).optional().describe("What to do if the turn takes no message."),
  })
  .meta({ id: "SteerTurn" });
