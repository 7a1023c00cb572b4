import { z } from "zod";
import { type BudgetStatus, budgetSchema } from "./budget.ts";
import { type ExitRecord, exitSchema } from "./exit.ts";
import { type SessionStatus, statusSchema } from "./session-status.ts";
import { type EffectiveOption, optionsSchema } from "./tree.ts";

/** What is known of a session besides its record. */
export interface SessionInspection {
  /** Left out if the session is not in memory. */
  readonly status?: SessionStatus | undefined;
  /** Its spending against its budget, if it has one. */
  readonly budget?: BudgetStatus | undefined;
  /** The options in effect, with their origins. Left out of a session that has ended and is no template's. */
  readonly options?: Readonly<Record<string, EffectiveOption>> | undefined;
  /** The restarts in the current series of crashes. Left out if the session is not in memory. */
  readonly restarts?: number | undefined;
  /** The last ten unexpected exits since it came into memory, the oldest first. */
  readonly lastExits: readonly ExitRecord[];
}

export const sessionInspectionSchema: z.ZodType<SessionInspection> = z
  .object({
    status: statusSchema.optional(),
    budget: budgetSchema.optional(),
    options: optionsSchema.optional(),
    restarts: z.number().optional(),
    lastExits: z.array(exitSchema).readonly(),
  })
  .meta({ id: "SessionInspection" });
