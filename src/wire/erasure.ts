import { z } from "zod";
import { nameSchema, type WireName } from "./name.ts";

/** How to erase a session. */
export interface EraseSession {
  /** Also removes Claude's memory of the working directory. Set it only if the directory is this session's alone. Default `false`. */
  readonly memory?: boolean | undefined;
}

/** Something that an erasure left. */
export interface LeftBehind {
  readonly what: "memory" | "transcript" | "files";
  readonly where: string;
  readonly why: string;
  readonly node?: string | undefined;
}

/** A report of removed and remaining items. */
export interface ErasureReport {
  readonly name: WireName;
  readonly turns: number;
  readonly approvals: number;
  readonly events: number;
  /** Claude's ids of all the session's conversations. */
  readonly conversations: readonly string[];
  readonly transcripts: number;
  /** How many prompts were waiting to become turns. */
  readonly jobs: number;
  readonly files: number;
  /** The name under which the spending is shown now; left out if the session spent nothing. */
  readonly spentBy?: WireName | undefined;
  readonly left: readonly LeftBehind[];
}

export const eraseSessionSchema: z.ZodType<EraseSession> = z
  .strictObject({
    memory: z.boolean().optional().describe("Also removes Claude's memory of the working directory. Default `false`."),
  })
  .meta({ id: "EraseSession" });

export const erasureSchema: z.ZodType<ErasureReport> = z
  .object({
    name: nameSchema,
    turns: z.number(),
    approvals: z.number(),
    events: z.number(),
    conversations: z.array(z.string()).readonly(),
    transcripts: z.number(),
    jobs: z.number().describe("How many prompts were waiting to become turns."),
    files: z.number(),
    spentBy: nameSchema.optional(),
    left: z
      .array(
        z.object({
          what: z.enum(["memory", "transcript", "files"]),
          where: z.string(),
          why: z.string(),
          node: z.string().optional(),
        }),
      )
      .readonly(),
  })
  .meta({ id: "ErasureReport" });
