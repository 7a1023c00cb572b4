import { z } from "zod";

/** A store at one moment. */
export interface StoreReport {
  /** `custom` for a journal of the application's own. */
  readonly kind: "memory" | "sqlite" | "postgres" | "custom";
  /** Contains no password. */
  readonly location: string;
  /** The release of SQLite or PostgreSQL. */
  readonly version?: string | undefined;
  /** How long it has just taken to answer, in milliseconds. Left out if it did not. */
  readonly latencyMs?: number | undefined;
  /** Why it accepts no writes or does not answer; left out if it does. */
  readonly fault?: string | undefined;
  /** When it last failed to accept a write since the start of the application, and why. */
  readonly lastFault?: { readonly at: number; readonly message: string } | undefined;
  /** What it is known to have lost or damaged; the rest stays in use. */
  readonly damage?: string | undefined;
}

/** The stores of a supervisor. */
export interface StorageReport {
  readonly journal: StoreReport;
  /** The database of the cluster, on a node. */
  readonly cluster?: StoreReport | undefined;
}

const storeSchema: z.ZodType<StoreReport> = z
  .object({
    kind: z.enum(["memory", "sqlite", "postgres", "custom"]),
    location: z.string(),
    version: z.string().optional().describe("The release of SQLite or PostgreSQL."),
    latencyMs: z
      .number()
      .optional()
      .describe("How long it has just taken to answer, in milliseconds. Left out if it did not."),
    fault: z.string().optional().describe("Why it accepts no writes or does not answer; left out if it does."),
    lastFault: z
      .object({ at: z.number(), message: z.string() })
      .optional()
      .describe("When it last failed to accept a write since the start of the application, and why."),
    damage: z.string().optional().describe("What it is known to have lost or damaged; the rest stays in use."),
  })
  .meta({ id: "Store" });

export const storageSchema: z.ZodType<StorageReport> = z
  .object({ journal: storeSchema, cluster: storeSchema.optional() })
  .meta({ id: "Storage" });
