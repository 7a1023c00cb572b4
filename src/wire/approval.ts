import { z } from "zod";
import { type JsonObject, jsonObjectSchema } from "./json.ts";
import { nameSchema, type WireName } from "./name.ts";
import { type PermissionUpdate, permissionUpdateSchema } from "./permission-update.ts";

/** A question that Claude asks. */
export interface ApprovalQuestion {
  readonly question: string;
  readonly header: string;
  readonly options: readonly {
    readonly label: string;
    readonly description: string;
    readonly preview?: string | undefined;
  }[];
  readonly multiSelect: boolean;
}

/** A tool use of Claude's that awaits a decision. Times are in milliseconds since the epoch. */
export interface Approval {
  readonly id: string;
  readonly session: WireName;
  readonly tool: string;
  readonly input: JsonObject;
  readonly questions?: readonly ApprovalQuestion[] | undefined;
  readonly title?: string | undefined;
  readonly reason?: string | undefined;
  /** Rules that would make the question unnecessary next time; pass them to `approve`. */
  readonly suggestions: readonly PermissionUpdate[];
  readonly toolUseId?: string | undefined;
  readonly turnId?: string | undefined;
  readonly requestedAt: number;
  /** When it is denied without an answer. */
  readonly expiresAt: number;
}

/** Which pending approvals to list. */
export interface ApprovalListQuery {
  /** Whether to ask the nodes of the cluster for those of global sessions, too. Default `false`. */
  readonly global?: boolean | undefined;
}

/** Pending approvals, oldest first. */
export interface ApprovalList {
  readonly approvals: readonly Approval[];
}

/** How an approval ended. */
export type ApprovalOutcome = "approved" | "denied" | "expired" | "withdrawn";

/** A permission request and its answer, if it was answered. */
export interface PastApproval {
  readonly id: string;
  readonly tool: string;
  readonly input: JsonObject;
  readonly requestedAt: number;
  readonly outcome?: ApprovalOutcome | undefined;
  readonly settledAt?: number | undefined;
  /** Who answered. */
  readonly by?: string | undefined;
  /** What Claude was told of a denial, or why it was told nothing. */
  readonly message?: string | undefined;
}

/** Which past approvals to list. */
export interface ApprovalHistoryQuery {
  /** At most this many. Default 100. */
  readonly limit?: number | undefined;
}

/** Past approvals, newest first. */
export interface ApprovalHistory {
  readonly approvals: readonly PastApproval[];
}

/** An answer that lets a tool run. */
export interface ApproveTool {
  /** The tool's input in place of the requested one. */
  readonly input?: JsonObject | undefined;
  /** What the session may do from now on, such as the approval's `suggestions`. */
  readonly rules?: readonly PermissionUpdate[] | undefined;
  /** Answers to Claude's questions, by question. Not with `input` or `rules`. */
  readonly answers?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

/** An answer that denies a tool. */
export interface DenyTool {
  /** What Claude is told. */
  readonly message?: string | undefined;
}

/** The effect of an answer to an approval. */
export interface SettledApproval {
  readonly id: string;
  /** Whether this was the first answer. A later one has no effect. */
  readonly first: boolean;
  /** How the approval ended. */
  readonly outcome: ApprovalOutcome;
}

const outcomeSchema = z.enum(["approved", "denied", "expired", "withdrawn"]);

const questionSchema = z.object({
  question: z.string(),
  header: z.string(),
  options: z.array(z.object({ label: z.string(), description: z.string(), preview: z.string().optional() })).readonly(),
  multiSelect: z.boolean(),
});

export const approvalListQuerySchema: z.ZodType<ApprovalListQuery> = z.strictObject({
  global: z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .describe("Whether to ask the nodes of the cluster for those of global sessions, too. Default `false`."),
});

export const approvalListSchema: z.ZodType<ApprovalList> = z
  .object({
    approvals: z
      .array(
        z
          .object({
            id: z.string(),
            session: nameSchema,
            tool: z.string(),
            input: jsonObjectSchema,
            questions: z.array(questionSchema).readonly().optional(),
            title: z.string().optional(),
            reason: z.string().optional(),
            suggestions: z.array(permissionUpdateSchema).readonly(),
            toolUseId: z.string().optional(),
            turnId: z.string().optional(),
            requestedAt: z.number(),
            expiresAt: z.number().describe("When it is denied without an answer."),
          })
          .meta({ id: "Approval" }),
      )
      .readonly(),
  })
  .meta({ id: "ApprovalList" });

export const approvalHistoryQuerySchema: z.ZodType<ApprovalHistoryQuery> = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe("At most this many. Default 100."),
});

export const approvalHistorySchema: z.ZodType<ApprovalHistory> = z
  .object({
    approvals: z
      .array(
        z.object({
          id: z.string(),
          tool: z.string(),
          input: jsonObjectSchema,
          requestedAt: z.number(),
          outcome: outcomeSchema.optional(),
          settledAt: z.number().optional(),
          by: z.string().optional().describe("Who answered."),
          message: z.string().optional().describe("What Claude was told of a denial, or why it was told nothing."),
        }),
      )
      .readonly(),
  })
  .meta({ id: "ApprovalHistory" });

export const approveToolSchema: z.ZodType<ApproveTool> = z
  .strictObject({
    input: jsonObjectSchema.optional().describe("The tool's input in place of the requested one."),
    rules: z
      .array(permissionUpdateSchema)
      .readonly()
      .optional()
      .describe("What the session may do from now on, such as the approval's `suggestions`."),
    answers: z
      .record(z.string(), z.union([z.string(), z.array(z.string()).readonly()]))
      .optional()
      .describe("Answers to Claude's questions, by question. Not with `input` or `rules`."),
  })
  .refine(({ input, rules, answers }) => answers === undefined || (input === undefined && rules === undefined), {
    error: "cannot be used together with `input` or `rules`",
    path: ["answers"],
  })
  .meta({ id: "ApproveTool" });

export const denyToolSchema: z.ZodType<DenyTool> = z
  .strictObject({ message: z.string().optional().describe("What Claude is told.") })
  .meta({ id: "DenyTool" });

export const settledApprovalSchema: z.ZodType<SettledApproval> = z
  .object({
    id: z.string(),
    first: z.boolean().describe("Whether this was the first answer. A later one has no effect."),
    outcome: outcomeSchema,
  })
  .meta({ id: "SettledApproval" });
