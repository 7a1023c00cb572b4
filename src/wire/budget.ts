import { z } from "zod";
import { nameSchema, type WireName } from "./name.ts";

/** The spending against a budget. */
export interface BudgetStatus {
  readonly limitUsd: number;
  readonly per: "day" | "ever";
  readonly spentUsd: number;
  /** When a budget per day is whole again, in milliseconds since the epoch: at midnight, UTC. */
  readonly resetsAt?: number | undefined;
}

/** A budget, its owner, and how much of it is spent. */
export interface BudgetReport extends BudgetStatus {
  /** Left out for the budget of the supervisor, and of its cluster's global sessions. */
  readonly session?: WireName | undefined;
  /** Whether all global sessions of the cluster share the budget. */
  readonly global?: true | undefined;
  /** The template or the pool that the session belongs to. */
  readonly template?: string | undefined;
  readonly pool?: string | undefined;
}

/** The answer of `listBudgets`. */
export interface BudgetList {
  readonly budgets: readonly BudgetReport[];
}

const budget = {
  limitUsd: z.number(),
  per: z.enum(["day", "ever"]),
  spentUsd: z.number(),
  resetsAt: z
    .number()
    .optional()
    .describe("When a budget per day is whole again, in milliseconds since the epoch: at midnight, UTC."),
};

export const budgetSchema: z.ZodType<BudgetStatus> = z.object(budget);

export const budgetListSchema: z.ZodType<BudgetList> = z
  .object({
    budgets: z
      .array(
        z
          .object({
            session: nameSchema
              .optional()
              .describe("Left out for the budget of the supervisor, and of its cluster's global sessions."),
            global: z.literal(true).optional().describe("Whether all global sessions of the cluster share the budget."),
            template: z.string().optional(),
            pool: z.string().optional(),
            ...budget,
          })
          .meta({ id: "Budget" }),
      )
      .readonly(),
  })
  .meta({ id: "BudgetList" });
