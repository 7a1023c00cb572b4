import { z } from "zod";
import { type BudgetStatus, budgetSchema } from "./budget.ts";
import { type ExitRecord, exitSchema } from "./exit.ts";
import { type Json, jsonSchema } from "./json.ts";
import { nameSchema, type WireName } from "./name.ts";
import { type PoolStatus, poolSchema } from "./pool.ts";
import { type SessionStatus, statusSchema } from "./session-status.ts";
import { type CapacityStatus, capacitySchema } from "./supervisor.ts";

/** The state of a child in its supervisor. */
export type ChildState = "running" | "starting" | "restarting" | "quarantined" | "terminated";

/** The value of an option and its origin. */
export interface EffectiveOption {
  readonly value?: Json | undefined;
  readonly origin: Json;
}

/** An unexpected exit of a worker or a supervisor. */
export interface ChildEnd {
  readonly at: number;
  readonly message: string;
}

/** The number of restarts that a supervisor allows within a period, and what it does on more. */
export interface RestartIntensity {
  readonly maxRestarts: number;
  readonly maxSeconds: number;
  /** `quarantine` counts restarts per child, `escalate` those of all children together. */
  readonly onMaxRestarts: "quarantine" | "escalate";
}

/** Which parts of the tree to return. */
export interface TreeQuery {
  /** Whether to return the options in effect, which are most of the tree. Default `true`. */
  readonly options?: boolean | undefined;
}

/** A supervisor and its children, in start order. Times are in milliseconds since the epoch. */
export interface SupervisorNode {
  readonly kind: "supervisor";
  readonly name: string;
  readonly state: ChildState;
  readonly strategy: string;
  readonly intensity: RestartIntensity;
  readonly children: readonly TreeNode[];
  readonly restarts?: number | undefined;
  readonly lastExits?: readonly ChildEnd[] | undefined;
  /** When its next restart is due, during back-off. */
  readonly retryAt?: number | undefined;
}

/** A child in the tree. */
export type TreeNode =
  | SupervisorNode
  | {
      readonly kind: "session";
      readonly status: SessionStatus;
      readonly budget?: BudgetStatus | undefined;
      /** Left out if they were not asked for. */
      readonly options?: Readonly<Record<string, EffectiveOption>> | undefined;
      /** The restarts in the current series of crashes. */
      readonly restarts: number;
      readonly lastExits: readonly ExitRecord[];
    }
  | { readonly kind: "template"; readonly name: string; readonly sessions: number }
  | { readonly kind: "pool"; readonly status: PoolStatus }
  | {
      readonly kind: "worker";
      readonly name: string;
      readonly state: ChildState;
      readonly restarts: number;
      readonly lastExits: readonly ChildEnd[];
      /** When its next restart is due, during back-off. */
      readonly retryAt?: number | undefined;
    };

/** The whole tree, with the resources that it shares. */
export interface Tree extends SupervisorNode {
  readonly capacity: CapacityStatus;
  readonly journal: { readonly location?: string | undefined; readonly fault?: string | undefined };
  readonly budget?: BudgetStatus | undefined;
  /** Left out if they were not asked for. */
  readonly options?: Readonly<Record<string, EffectiveOption>> | undefined;
}

/** A child of the root supervisor. */
export interface ChildSummary {
  /** The name of a session, supervisor, template or pool; the id of a worker. */
  readonly id: WireName;
  readonly type: "session" | "supervisor" | "template" | "pool" | "worker";
  readonly state: ChildState;
}

/** The children of the root supervisor, in start order. */
export interface ChildList {
  readonly children: readonly ChildSummary[];
  readonly counts: {
    readonly specs: number;
    readonly active: number;
    readonly supervisors: number;
    readonly workers: number;
  };
}

const childStateSchema = z.enum(["running", "starting", "restarting", "quarantined", "terminated"]);

export const optionsSchema: z.ZodType<Readonly<Record<string, EffectiveOption>>> = z
  .record(z.string(), z.object({ value: jsonSchema.optional(), origin: jsonSchema }))
  .meta({
    description: "The options in effect, with their origins. Objects that may hold secrets show only field names.",
  });

const childEnds = z.array(z.object({ at: z.number(), message: z.string() })).readonly();

const supervisorFields = {
  kind: z.literal("supervisor"),
  name: z.string(),
  state: childStateSchema,
  strategy: z.string(),
  intensity: z
    .object({ maxRestarts: z.number(), maxSeconds: z.number(), onMaxRestarts: z.enum(["quarantine", "escalate"]) })
    .describe("The restarts that are allowed within a period: per child, or with `escalate` of all children together."),
  children: z.array(z.lazy(() => treeNodeSchema)).readonly(),
  restarts: z.number().optional(),
  lastExits: childEnds.optional(),
  retryAt: z.number().optional().describe("When the next restart is due, during back-off."),
} as const;

const treeNodeSchema: z.ZodType<TreeNode> = z
  .union([
    z.object(supervisorFields),
    z.object({
      kind: z.literal("session"),
      status: statusSchema,
      budget: budgetSchema.optional(),
      options: optionsSchema.optional(),
      restarts: z.number().describe("The restarts in the current series of crashes."),
      lastExits: z.array(exitSchema).readonly(),
    }),
    z.object({ kind: z.literal("template"), name: z.string(), sessions: z.number() }),
    z.object({ kind: z.literal("pool"), status: poolSchema }),
    z.object({
      kind: z.literal("worker"),
      name: z.string(),
      state: childStateSchema,
      restarts: z.number(),
      lastExits: childEnds,
      retryAt: z.number().optional().describe("When the next restart is due, during back-off."),
    }),
  ])
  .meta({ id: "TreeNode" });

export const treeSchema: z.ZodType<Tree> = z
  .object({
    ...supervisorFields,
    capacity: capacitySchema,
    journal: z.object({ location: z.string().optional(), fault: z.string().optional() }),
    budget: budgetSchema.optional(),
    options: optionsSchema.optional(),
  })
  .meta({ id: "Tree" });

export const treeQuerySchema: z.ZodType<TreeQuery> = z.strictObject({
  options: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .describe("Whether to return the options in effect, which are most of the tree. Default `true`."),
});

export const childListSchema: z.ZodType<ChildList> = z
  .object({
    children: z
      .array(
        z.object({
          id: nameSchema,
          type: z.enum(["session", "supervisor", "template", "pool", "worker"]),
          state: childStateSchema,
        }),
      )
      .readonly(),
    counts: z.object({ specs: z.number(), active: z.number(), supervisors: z.number(), workers: z.number() }),
  })
  .meta({ id: "ChildList" });
