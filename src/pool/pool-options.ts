import { z } from "zod";
import type { Duration } from "../duration.ts";
import type { OptionProblem } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { didYouMean, nearMisses } from "../names.ts";
import { copyConfigLocations } from "../session/options/config-location.ts";
import { type GlobalName, refuseGlobalName } from "../session/options/global-name.ts";
import type { SessionDefaults } from "../session/options/options.ts";
import { checkSessionDefaults, sessionFields } from "../session/options/session-settings.ts";
import { durationSchema, invalidOptions, validate } from "../session/options/validation.ts";
import { type Balance, balanceSchema } from "./balance-option.ts";

/** How a pool manages and lends its members. */
export interface PoolBehavior {
  /** The number of members. Give either `size` or `max`. */
  size?: number;
  /** The minimum number of members of a pool with `max`. Default 1. */
  min?: number;
  /** The maximum number of members. The pool adds a member for each waiting caller while all are lent, up to `max`. */
  max?: number;
  /** How long a member above `min` must be idle before the pool removes it. Default `"1m"`. */
  shrinkAfter?: Duration;
  /** How the pool picks a member for a turn or a loan. Default `"least_busy"`. */
  balance?: Balance;
  /**
   * `"fresh"`: every loan, and every turn asked of the pool, starts with an empty conversation; no borrower sees another's.
   * `"shared"`: members keep their conversations across callers, and turns asked of the pool can wait in a member's mailbox.
   * Default `"fresh"`.
   */
  conversation?: "fresh" | "shared";
  /**
   * The maximum duration of a loan. When it ends, the pool interrupts the loan's turn and takes the member back. Default: no
   * limit.
   */
  lease?: Duration;
  /**
   * Returns options of a single member, by its index from 0. They override the pool's options. Use it for options that only one
   * session can have, such as an in-process MCP server. Castellan calls it once per member. Default: all members are alike.
   */
  member?: (index: number) => SessionDefaults;
  /** How many callers can wait for a member. The pool rejects further callers with `POOL_EXHAUSTED`. Default 1,000. */
  waitingLimit?: number;
  /** How many jobs can wait. The pool rejects further jobs with `MAILBOX_FULL`. Default 10,000. */
  jobLimit?: number;
}

/** A pool as a child of a supervisor, with the options of its members; made by {@link pool}. */
export interface PoolOptions extends PoolBehavior, SessionDefaults {
  /** The name of the pool. Its members are named `[name, 0]`, `[name, 1]`, … */
  pool: string | GlobalName;
}

/**
 * Makes a set of interchangeable sessions. Each is supervised like any other session; it starts its process when it is first
 * needed, or at once with `activation: "eager"`. The pool replaces members that are quarantined, stopped or ended. When as many
 * members are quarantined as the pool may have, it restarts them one after the other: after one second, then after twice as long
 * each time, up to a minute.
 *
 * `query` and `stream` accept the pool's name and pick a member; {@link checkout} lends one for several turns.
 *
 * @example
 * await Supervisor.start([pool("summaries", { size: 4, maxTurns: 5 })]);
 * await query("summaries", `Summarise this:\n${text}`);
 * await using loan = await checkout("summaries", { timeout: "30s" });
 * await loan.session.query("Read this first: …");
 */
export function pool(name: string | GlobalName, options: PoolBehavior & SessionDefaults): PoolOptions {
  return { ...options, pool: name };
}

/** {@link PoolOptions} with their defaults. */
export interface PoolSettings {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly shrinkAfterMs: number;
  readonly balance: Balance;
  /** Whether every loan and turn starts with an empty conversation. */
  readonly fresh: boolean;
  readonly leaseMs: number | undefined;
  readonly waitingLimit: number;
  readonly jobLimit: number;
  /** Returns the options of the member with this index. @throws CastellanError `INVALID_OPTIONS` if they are invalid */
  sessions(index: number): SessionDefaults;
}

const count = z.int().positive();

const schema = z.strictObject({
  pool: z.string().min(1),
  size: count.optional(),
  min: z.int().nonnegative().optional(),
  max: count.optional(),
  shrinkAfter: durationSchema.default(60_000),
  balance: balanceSchema.default("least_busy"),
  conversation: z.enum(["fresh", "shared"]).default("fresh"),
  lease: durationSchema.optional(),
  member: z.custom<PoolBehavior["member"]>((value) => typeof value === "function", "expected a function").optional(),
  waitingLimit: z.int().nonnegative().default(1_000),
  jobLimit: z.int().nonnegative().default(10_000),
});

/** Options that only a single session can have. */
const OF_ONE = ["resume", "forkSession", "resumeSessionAt", "sessionId", "abortController"] as const;

/**
 * Validates the options of a pool and applies their defaults.
 *
 * @param at the path of the pool in the options, for messages
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function poolSettings(options: PoolOptions, at: string): PoolSettings {
  refuseGlobalName(options.pool, "pool", at === "" ? "pool" : `${at}.pool`);
  const given = withoutUndefined(options);
  const own = Object.fromEntries(Object.entries(given).filter(([field]) => field in schema.shape));
  const rest = Object.fromEntries(Object.entries(given).filter(([field]) => !(field in schema.shape)));
  const what = typeof options.pool === "string" ? `pool ${JSON.stringify(options.pool)}` : "pool";
  const parsed = validate(schema, own, what, at);
  const problems = [...unknownIn(rest), ...sizeProblems(parsed)];
  if (problems.length > 0) {
    throw invalidOptions(
      what,
      problems.map(({ field, message }) => ({ field: at === "" ? field : `${at}.${field}`, message })),
    );
  }
  const {
    pool: name,
    size,
    min,
    max,
    shrinkAfter,
    balance,
    conversation,
    lease,
    member,
    waitingLimit,
    jobLimit,
  } = parsed;
  const common = checkSessionDefaults(copyConfigLocations(options, rest), what, at);
  return {
    name,
    min: size ?? min ?? Math.min(1, max ?? 1),
    max: size ?? max ?? 1,
    shrinkAfterMs: shrinkAfter,
    balance,
    fresh: conversation === "fresh",
    leaseMs: lease,
    waitingLimit,
    jobLimit,
    sessions: (index) => {
      if (member === undefined) return common;
      const own = member(index);
      const given: unknown = own;
      const isOptions = typeof given === "object" && given !== null && !("then" in given);
      const problems = isOptions
        ? unknownIn(own)
        : [{ field: "", message: "expected a function that returns session options synchronously" }];
      if (problems.length === 0) return copyConfigLocations(common, { ...common, ...own });
      throw invalidOptions(
        what,
        problems.map(({ field, message }) => ({
          field: `member(${index})${field === "" ? "" : `.${field}`}`,
          message,
        })),
      );
    },
  };
}

function unknownIn(rest: object): OptionProblem[] {
  const known = [...sessionFields, ...Object.keys(schema.shape)];
  return Object.keys(rest).flatMap((field) => {
    if (OF_ONE.some((one) => one === field)) {
      return [{ field, message: "cannot be set on a pool: only a single session can have it" }];
    }
    if (field !== "name" && field !== "signal" && sessionFields.has(field)) return [];
    return [{ field, message: `is not an option of a pool${didYouMean(nearMisses(field, known))}` }];
  });
}

function sizeProblems({ size, min, max }: Pick<z.infer<typeof schema>, "size" | "min" | "max">): OptionProblem[] {
  if (size !== undefined) {
    const other = min !== undefined ? "min" : max !== undefined ? "max" : undefined;
    return other === undefined ? [] : [{ field: other, message: "cannot be combined with `size`" }];
  }
  if (max === undefined) return [{ field: "size", message: "expected a number of members, or `max`" }];
  return min !== undefined && min > max ? [{ field: "min", message: `expected at most \`max\`, which is ${max}` }] : [];
}
