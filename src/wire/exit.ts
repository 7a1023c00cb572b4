import { z } from "zod";

/** How a Claude Code process ended. */
export interface ExitRecord {
  /** `done`, `crash`, `stalled`, `out_of_memory`, `bad_config`, `auth`, `quota`, `overload`, … */
  readonly class: string;
  /** One sentence for people. */
  readonly message: string;
  /** In milliseconds since the epoch. */
  readonly at: number;
  readonly pid?: number | undefined;
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
  /** The last 2 kB of the process's stderr. */
  readonly stderr?: string | undefined;
}

export const exitSchema: z.ZodType<ExitRecord> = z
  .object({
    class: z
      .string()
      .describe("`done`, `crash`, `stalled`, `out_of_memory`, `bad_config`, `auth`, `quota`, `overload`, …"),
    message: z.string(),
    at: z.number(),
    pid: z.number().optional(),
    code: z.number().optional(),
    signal: z.string().optional(),
    stderr: z.string().optional().describe("The last 2 kB of the process's stderr."),
  })
  .meta({ id: "ExitRecord", description: "How a Claude Code process ended." });
