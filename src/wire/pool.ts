import { z } from "zod";
import { type WireDuration, wireDurationSchema } from "./duration.ts";
import type { JsonObject } from "./json.ts";
import { nameSchema, type WireName } from "./name.ts";
import type { WirePrompt } from "./prompt.ts";
import { type SessionState, stateSchema } from "./session-status.ts";
import { enqueueFields } from "./turn.ts";

/** The state of a pool. */
export interface PoolStatus {
  readonly name: string;
  readonly size: number;
  readonly min: number;
  readonly max: number;
  readonly lent: number;
  readonly idle: number;
  /** The number of callers that wait for a member. */
  readonly waiting: number;
  /** The number of jobs that wait for a member. */
  readonly jobs: number;
  readonly shortfall?: string | undefined;
  readonly retryAt?: number | undefined;
  readonly members: readonly { readonly name: WireName; readonly state: SessionState; readonly use: string }[];
}

/** All pools that the caller reaches. */
export interface PoolList {
  readonly pools: readonly PoolStatus[];
}

/** A job for a pool: a turn that a member runs once one is free. */
export interface EnqueueJob {
  readonly prompt: WirePrompt;
  readonly idempotencyKey?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly timeout?: WireDuration | undefined;
  /** Jobs of a higher priority run first. From -1,000 to 1,000. Default 0. */
  readonly priority?: number | undefined;
  /** How long the job waits before it may run. Default 0. */
  readonly delay?: WireDuration | undefined;
}

export const poolSchema: z.ZodType<PoolStatus> = z
  .object({
    name: z.string(),
    size: z.number(),
    min: z.number(),
    max: z.number(),
    lent: z.number(),
    idle: z.number(),
    waiting: z.number(),
    jobs: z.number(),
    shortfall: z.string().optional(),
    retryAt: z.number().optional(),
    members: z
      .array(
        z.object({
          name: nameSchema,
          state: stateSchema,
          use: z.string().describe("`joining`, `free`, `lent`, `resetting` or `leaving`."),
        }),
      )
      .readonly(),
  })
  .meta({ id: "Pool" });

export const poolListSchema: z.ZodType<PoolList> = z
  .object({ pools: z.array(poolSchema).readonly() })
  .meta({ id: "PoolList" });

export const enqueueJobSchema: z.ZodType<EnqueueJob> = z
  .strictObject({
    ...enqueueFields,
    priority: z.number().optional().describe("Jobs of a higher priority run first. From -1,000 to 1,000. Default 0."),
    delay: wireDurationSchema.optional().describe("How long the job waits before it may run. Default 0."),
  })
  .meta({ id: "EnqueueJob" });
