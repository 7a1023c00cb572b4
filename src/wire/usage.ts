import { z } from "zod";
import { nameSchema, type WireName } from "./name.ts";

/** Tokens that the models used. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly cacheCreationInputTokens: number;
}

/** Spending on one model. */
export interface ModelSpending {
  readonly model: string;
  /** US dollars, as Claude Code estimates them. Not a bill. */
  readonly costUsd: number;
  readonly usage: Usage;
}

/** Selects spending of a session. */
export interface SessionUsageQuery {
  /** The first and the last day, inclusive, in UTC, such as `"2026-11-24"`. Default: all days. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** The dimensions to report by, alone or combined. Default: a single total. */
  readonly by?: readonly ("session" | "model" | "day")[] | undefined;
  /** Reports also by the value of this label. */
  readonly label?: string | undefined;
}

/** Selects spending of all sessions. */
export interface UsageQuery extends SessionUsageQuery {
  /** Whether to report the spending of the cluster's global sessions instead. Default `false`. */
  readonly global?: boolean | undefined;
}

/** Spending, as Claude Code estimates it. */
export interface UsageReport {
  readonly session?: WireName | undefined;
  readonly model?: string | undefined;
  /** The value of the label. Left out for sessions without it, and for erased ones. */
  readonly label?: string | undefined;
  /** In UTC. */
  readonly day?: string | undefined;
  readonly costUsd: number;
  readonly usage: Usage;
  /** The number of turns that have spent. A turn with several models counts for the one that cost most. */
  readonly turns: number;
}

/** The answer of `getUsage` and `getSessionUsage`. */
export interface UsageAnswer {
  readonly reports: readonly UsageReport[];
}

export const usageSchema: z.ZodType<Usage> = z
  .object({
    inputTokens: z.number(),
    outputTokens: z.number(),
    cacheReadInputTokens: z.number(),
    cacheCreationInputTokens: z.number(),
  })
  .meta({ id: "Usage", description: "Tokens that the models used." });

const spending = {
  costUsd: z.number().describe("US dollars, as Claude Code estimates them. Not a bill."),
  usage: usageSchema,
};

export const modelSpendingSchema: z.ZodType<ModelSpending> = z
  .object({ model: z.string(), ...spending })
  .meta({ id: "ModelSpending" });

const sessionQuery = {
  since: z.string().optional().describe("The first day, inclusive, in UTC: `2026-11-24`."),
  until: z.string().optional().describe("The last day, inclusive, in UTC."),
  by: z
    .array(z.enum(["session", "model", "day"]))
    .readonly()
    .optional()
    .describe("The dimensions to report by. Default: a single total."),
  label: z.string().optional().describe("Reports also by the value of this label."),
};

export const sessionUsageQuerySchema: z.ZodType<SessionUsageQuery> = z.strictObject(sessionQuery);

export const usageQuerySchema: z.ZodType<UsageQuery> = z.strictObject({
  ...sessionQuery,
  global: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .describe("Whether to report the spending of the cluster's global sessions instead."),
});

export const usageAnswerSchema: z.ZodType<UsageAnswer> = z
  .object({
    reports: z
      .array(
        z.object({
          session: nameSchema.optional(),
          model: z.string().optional(),
          label: z.string().optional(),
          day: z.string().optional(),
          ...spending,
          turns: z
            .number()
            .describe("Turns that have spent. A turn with several models counts for the one that cost most."),
        }),
      )
      .readonly(),
  })
  .meta({ id: "UsageAnswer" });
