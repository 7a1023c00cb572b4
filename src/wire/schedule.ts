import { z } from "zod";
import { type WireDuration, wireDurationSchema } from "./duration.ts";
import { type JsonObject, jsonObjectSchema } from "./json.ts";
import type { EnqueueTurn } from "./turn.ts";
import { enqueueFields } from "./turn.ts";

/** A prompt that runs later, or again and again. */
export interface CreateSchedule extends Omit<EnqueueTurn, "whenBusy"> {
  /** When it runs, or runs first, in milliseconds since the epoch. */
  readonly runAt?: number | undefined;
  /** A duration of at least a second, or a cron expression. */
  readonly every?: WireDuration | undefined;
  /** The time zone of a cron expression, such as `Europe/Berlin`. */
  readonly timezone?: string | undefined;
}

/** A prompt that runs later. Times are in milliseconds since the epoch. */
export interface Schedule {
  /** Without `every`, also the id of its turn. */
  readonly id: string;
  readonly prompt: string;
  readonly nextAt: number;
  /** In milliseconds, or a cron expression; left out if it runs once. */
  readonly every?: number | string | undefined;
  readonly timezone?: string | undefined;
  /** Who asked, as `Turn.by`. */
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
  readonly createdAt: number;
}

/** The schedules of a session, the next first. */
export interface ScheduleList {
  readonly schedules: readonly Schedule[];
}

/** Whether there was a schedule to cancel. */
export interface CancelledSchedule {
  readonly cancelled: boolean;
}

export const createScheduleSchema: z.ZodType<CreateSchedule> = z
  .strictObject({
    ...enqueueFields,
    queueTimeout: wireDurationSchema.optional(),
    runAt: z.number().optional().describe("When it runs, or runs first, in milliseconds since the epoch."),
    every: wireDurationSchema.optional().describe("A duration of at least a second, or a cron expression."),
    timezone: z.string().optional().describe("The time zone of a cron expression, such as `Europe/Berlin`."),
  })
  .refine(({ runAt, every }) => runAt !== undefined || every !== undefined, { error: "expected `runAt` or `every`" })
  .meta({ id: "CreateSchedule" });

export const scheduleListSchema: z.ZodType<ScheduleList> = z
  .object({
    schedules: z
      .array(
        z.object({
          id: z.string(),
          prompt: z.string(),
          nextAt: z.number(),
          every: z.union([z.number(), z.string()]).optional(),
          timezone: z.string().optional(),
          by: z.string().optional().describe("Who asked, as `by` of a turn."),
          metadata: jsonObjectSchema.optional(),
          createdAt: z.number(),
        }),
      )
      .readonly(),
  })
  .meta({ id: "ScheduleList" });

export const cancelledScheduleSchema: z.ZodType<CancelledSchedule> = z
  .object({ cancelled: z.boolean() })
  .meta({ id: "CancelledSchedule" });
