import { z } from "zod";
import { PROCESS_OPTIONS, type ProcessOptions, type ProcessSettings } from "../../claude/process-options.ts";
import type { Restart, Shutdown } from "../../supervision/child-spec.ts";
import type { Budget } from "./budget.ts";
import { type Isolate, isolateSchema } from "./isolation.ts";
import { type Labels, labelsSchema } from "./labels.ts";
import type { OnInterruptedTurn, OwnOptions, WhenBusy } from "./options.ts";
import { isZodSchema, type OutputSchema } from "./output-schema.ts";
import { budgetSchema, durationSchema, memorySchema } from "./validation.ts";

/**
 * What applying a changed option takes, cheapest first. `live`: takes effect at once. `process`: needs a new process
 * with the same conversation. `child`: needs a new child in the tree with the same conversation.
 */
export type OptionEffect = "live" | "process" | "child";

/** Everything that is known about one of Castellan's own options. */
export interface OptionRow<Setting> {
  /** Parses the option and supplies its default. The parsed value is itself a valid value of the option. */
  readonly schema: z.ZodType<Setting>;
  /** What applying a change takes. */
  readonly applies: OptionEffect | ((before: Setting, after: Setting) => OptionEffect);
  /** Whether a fork inherits the option. */
  readonly forks: boolean;
  /** A value that differs from the default, for tests. */
  readonly example: unknown;
}

/** Castellan's own options after parsing: durations in milliseconds, memory in bytes. */
export interface OwnSettings extends ProcessSettings {
  readonly timeout: number | undefined;
  readonly queueTimeout: number;
  readonly stallTimeout: number;
  /** `undefined` if the session does not hibernate by itself. */
  readonly idleTimeout: number | undefined;
  readonly pinned: boolean;
  readonly maxMemory: number | undefined;
  readonly backgroundTaskTimeout: number | undefined;
  readonly maxAge: number | undefined;
  readonly activation: "eager" | "lazy";
  readonly mailboxLimit: number;
  readonly verbatimPrompts: boolean;
  readonly whenBusy: WhenBusy;
  /** `false` if the session has no approvals. */
  readonly approvals: false | { readonly timeout: number };
  readonly onInterruptedTurn: OnInterruptedTurn;
  /**
   * `undefined` quarantines the session when the transcript is gone, and accepts one that is older than the journal.
   */
  readonly onMissingConversation: "fail" | "fresh" | undefined;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly outputSchema: OutputSchema | undefined;
  readonly budget: Budget | undefined;
  readonly labels: Labels;
  readonly recordMessages: boolean;
  readonly significant: boolean;
  readonly isolate: Isolate;
}

/** The lower bound of `stallTimeout`. */
const SHORTEST_STALL_MS = 100;

const APPROVAL_TIMEOUT_MS = 10 * 60_000;

const stallSchema = durationSchema.refine(
  (ms) => ms >= SHORTEST_STALL_MS,
  `expected at least ${SHORTEST_STALL_MS} ms; a model may think for longer than that`,
);

const approvalsSchema = z
  .union([z.boolean(), z.strictObject({ timeout: durationSchema })])
  .transform((value) => (value === true ? { timeout: APPROVAL_TIMEOUT_MS } : value))
  .default(false);

const outputSchemaSchema = z.custom<OutputSchema>(
  (value) => isZodSchema(value) || (typeof value === "object" && value !== null && !Array.isArray(value)),
  "expected a zod schema or a JSON Schema",
);

type Rows<Options extends keyof OwnSettings> = { readonly [Name in Options]: OptionRow<OwnSettings[Name]> };

/** Options that shape the process: a change needs a new process, and forks inherit them. */
const processRows = Object.fromEntries(
  Object.entries(PROCESS_OPTIONS).map(([name, row]) => [name, { ...row, applies: "process", forks: true }]),
) as Rows<keyof ProcessOptions>;

/**
 * Every option of Castellan's own except `name` and `signal`, which identify one session. Schemas, settings, forks,
 * reconciliation, fingerprints, inspection and the options reference derive from it.
 */
export const OPTION_TABLE: Rows<keyof OwnOptions> = {
  ...processRows,
  timeout: { schema: durationSchema.optional(), applies: "live", forks: true, example: "2m" },
  queueTimeout: { schema: durationSchema.default(10 * 60_000), applies: "live", forks: true, example: "1m" },
  stallTimeout: { schema: stallSchema.default(10 * 60_000), applies: "live", forks: true, example: "2m" },
  idleTimeout: { schema: durationSchema.optional(), applies: "live", forks: true, example: "15m" },
  pinned: { schema: z.boolean().default(false), applies: "live", forks: true, example: true },
  maxMemory: { schema: memorySchema.optional(), applies: "live", forks: true, example: "500MB" },
  backgroundTaskTimeout: { schema: durationSchema.optional(), applies: "live", forks: true, example: "1h" },
  maxAge: { schema: durationSchema.optional(), applies: "live", forks: true, example: "1d" },
  activation: { schema: z.enum(["eager", "lazy"]).default("eager"), applies: "live", forks: true, example: "lazy" },
  mailboxLimit: { schema: z.int().nonnegative().default(100), applies: "live", forks: true, example: 10 },
  // Replaces the SDK's option of the same name, which applies to all messages of a process.
  verbatimPrompts: { schema: z.boolean().default(true), applies: "live", forks: true, example: false },
  whenBusy: {
    schema: z.enum(["enqueue", "reject", "interrupt", "rollback", "steer"]).default("enqueue"),
    applies: "live",
    forks: true,
    example: "reject",
  },
  approvals: {
    schema: approvalsSchema,
    // Only the process start decides whether permissions are asked for; the timeout applies live.
    applies: (before, after) => ((before === false) === (after === false) ? "live" : "process"),
    forks: true,
    example: { timeout: "1h" },
  },
  onInterruptedTurn: {
    schema: z.enum(["retry_if_untouched", "fail", "retry"]).default("retry_if_untouched"),
    applies: "live",
    forks: true,
    example: "fail",
  },
  onMissingConversation: {
    schema: z.enum(["fail", "fresh"]).optional(),
    applies: "live",
    forks: true,
    example: "fresh",
  },
  restart: {
    schema: z.enum(["permanent", "transient", "temporary"]).default("permanent"),
    applies: "child",
    forks: true,
    example: "transient",
  },
  shutdown: {
    schema: z.union([z.enum(["brutal_kill", "infinity"]), durationSchema]).default(5_000),
    applies: "child",
    forks: true,
    example: "10s",
  },
  // The SDK's `outputFormat` derives from it, and a process learns that at its start.
  outputSchema: {
    schema: outputSchemaSchema.optional(),
    applies: "live",
    forks: true,
    example: { type: "object", properties: { answer: { type: "string" } } },
  },
  budget: { schema: budgetSchema.optional(), applies: "live", forks: true, example: { usd: 5, per: "day" } },
  labels: { schema: labelsSchema.default({}), applies: "live", forks: true, example: { user: "ann" } },
  recordMessages: { schema: z.boolean().default(false), applies: "live", forks: true, example: true },
  // The end of a fork does not count as the end of its source.
  significant: { schema: z.boolean().default(false), applies: "child", forks: false, example: true },
  isolate: {
    schema: isolateSchema.default(false),
    applies: "process",
    forks: true,
    example: { root: "/var/lib/support/sessions" },
  },
};

/** The names of all options in the table. */
export const OWN_OPTIONS: readonly (keyof OwnOptions)[] = Object.keys(OPTION_TABLE) as (keyof OwnOptions)[];

/** The schema of each option in the table. */
export const ownShape: { readonly [Name in keyof OwnOptions]-?: z.ZodType<OwnSettings[Name]> } = Object.fromEntries(
  Object.entries(OPTION_TABLE).map(([name, { schema }]) => [name, schema]),
) as { readonly [Name in keyof OwnOptions]-?: z.ZodType<OwnSettings[Name]> };

/** Returns what applying a change of the option takes. */
export function effectOf<Name extends keyof OwnOptions>(
  name: Name,
  before: OwnSettings[Name],
  after: OwnSettings[Name],
): OptionEffect {
  const { applies }: OptionRow<OwnSettings[Name]> = OPTION_TABLE[name];
  return typeof applies === "function" ? applies(before, after) : applies;
}
