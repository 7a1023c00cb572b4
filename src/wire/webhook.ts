import { z } from "zod";

/** Why an endpoint did not take a request. */
export interface WebhookFailure {
  /** In milliseconds since the epoch. */
  readonly at: number;
  /** The status of the answer; left out if there was none. */
  readonly status?: number | undefined;
  readonly problem: string;
}

/** An endpoint, as the server sees it since its start. Shows neither the path of its URL nor its secrets. */
export interface Webhook {
  readonly id: string;
  /** The origin of its URL. */
  readonly origin: string;
  readonly state: "ready" | "failing" | "disabled";
  /** When a failing endpoint is tried again, in milliseconds since the epoch. */
  readonly retryAt?: number | undefined;
  /** How many sessions may have undelivered events. */
  readonly pendingSessions: number;
  /** Whether there may be more of them, which wait in the journal. */
  readonly morePending: boolean;
  /** How many events were delivered. */
  readonly delivered: number;
  /** How often events were given up. */
  readonly dropped: number;
  readonly lastDeliveredAt?: number | undefined;
  readonly lastFailure?: WebhookFailure | undefined;
}

/** The endpoints of the server's webhooks. */
export interface WebhookList {
  readonly webhooks: readonly Webhook[];
}

/** The result of a test message. */
export interface WebhookTest {
  readonly delivered: boolean;
  readonly status?: number | undefined;
  readonly problem?: string | undefined;
  readonly durationMs: number;
}

export const webhookParams: z.ZodType<{ readonly id: string }> = z.object({
  id: z.string().describe("The id of the endpoint."),
});

export const webhookListSchema: z.ZodType<WebhookList> = z
  .object({
    webhooks: z
      .array(
        z
          .object({
            id: z.string(),
            origin: z.string().describe("The origin of the URL."),
            state: z
              .enum(["ready", "failing", "disabled"])
              .describe(
                "`failing`: it could not be reached, and is tried again at `retryAt`. `disabled`: it answered 410, and gets nothing until it is retried or the server restarts.",
              ),
            retryAt: z.number().optional(),
            pendingSessions: z.number().describe("How many sessions may have undelivered events."),
            morePending: z.boolean().describe("Whether there may be more of them, which wait in the journal."),
            delivered: z.number(),
            dropped: z
              .number()
              .describe("How often events were given up: too old, or deleted by the journal's limits."),
            lastDeliveredAt: z.number().optional(),
            lastFailure: z
              .object({ at: z.number(), status: z.number().optional(), problem: z.string() })
              .optional()
              .describe("Without `status`, there was no answer."),
          })
          .meta({ id: "Webhook", description: "An endpoint, as this server sees it since its start." }),
      )
      .readonly(),
  })
  .meta({ id: "WebhookList" });

export const webhookTestSchema: z.ZodType<WebhookTest> = z
  .object({
    delivered: z.boolean(),
    status: z.number().optional(),
    problem: z.string().optional(),
    durationMs: z.number(),
  })
  .meta({ id: "WebhookTest" });
