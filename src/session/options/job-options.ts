import { z } from "zod";
import type { Duration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import type { JobEntry } from "../../journal/model/job-entry.ts";
import type { JsonObject } from "../../journal/model/session-entry.ts";
import { askerSchema } from "./asker.ts";
import { metadataSchema } from "./metadata.ts";
import { durationSchema, validate } from "./validation.ts";

/** Options of a job of a pool. */
export interface JobOptions {
  /**
   * Makes retries safe: the same key returns the same job and the same reply, also after a restart of the application, for
   * as long as the journal keeps the turn. Only the options of the first call count. Keys are scoped to the pool.
   */
  idempotencyKey?: string;
  /** Jobs of a higher priority run first; of equal ones, the earlier. An integer from -1,000 to 1,000. Default 0. */
  priority?: number;
  /** How long the job waits before it may run. Default 0. */
  delay?: Duration;
  /** Overrides the members' `timeout`. Counts from the moment when a member takes the job. */
  timeout?: Duration;
  /** Overrides the members' `verbatimPrompts`. */
  verbatimPrompts?: boolean;
  /** Who asks, as `TurnOptions.by`. */
  by?: string;
  /** The caller's own data about the job, as `TurnOptions.metadata`. */
  metadata?: JsonObject;
}

/** {@link JobOptions} with durations in milliseconds. */
export interface JobSettings {
  readonly idempotencyKey?: string | undefined;
  readonly priority: number;
  readonly delay: number;
  readonly timeout?: number | undefined;
  readonly verbatimPrompts?: boolean | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

const MOST_PRIORITY = 1_000;

const jobSchema: z.ZodType<JobSettings> = z.strictObject({
  idempotencyKey: z.string().min(1).max(512).optional(),
  priority: z.int().min(-MOST_PRIORITY).max(MOST_PRIORITY).default(0),
  delay: durationSchema.default(0),
  timeout: durationSchema.optional(),
  verbatimPrompts: z.boolean().optional(),
  by: askerSchema.optional(),
  metadata: metadataSchema.optional(),
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function jobSettings(options: JobOptions, who: string): JobSettings {
  return validate(jobSchema, options, `job of ${who}`);
}

/** What the journal keeps of a job's options. */
export interface JobTerms {
  readonly priority: number;
  readonly timeoutMs?: number | undefined;
  readonly by?: string | undefined;
  readonly metadata?: JsonObject | undefined;
}

const termsSchema: z.ZodType<JobTerms> = z.object({
  priority: z.number().default(0),
  timeoutMs: z.number().optional(),
  by: z.string().optional(),
  metadata: z.record(z.string(), z.json()).optional(),
});

/** Returns the options of a job, for the journal. */
export function termsOf({ priority, timeout, by, metadata }: JobSettings): JsonObject {
  return {
    ...(priority !== 0 && { priority }),
    ...(timeout !== undefined && { timeoutMs: timeout }),
    ...withoutUndefined({ by, metadata }),
  };
}

/** Reads the options of a job from the journal. Terms of another release that do not fit are left out. */
export function readTerms({ terms }: JobEntry): JobTerms {
  const read = termsSchema.safeParse(terms);
  return read.success ? read.data : { priority: 0 };
}
