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

/** How the members of a pool are kept and lent. */
export interface PoolKeeping {
  /** How many members there are. Either this, or `max`. */
  size?: number;
  /** How many members there are at the least, if it is not always the same number. Default 1. */
  min?: number;
  /** How many members there may be: for each that waits while all are lent there is one more, up to this. */
  max?: number;
  /** After how long of doing nothing a member above `min` goes. Default `"1m"`. */
  shrinkAfter?: Duration;
  /** How a member is picked for a turn or a loan. Default `"least_busy"`. */
  balance?: Balance;
  /**
   * `"fresh"`: every loan, and every turn that is asked of the pool, begins with an empty conversation, and nobody gets to see
   * another's. `"shared"`: members keep their conversations, whoever asks; and turns that are asked of the pool may wait in a
   * member's mailbox. Default `"fresh"`.
   */
  conversation?: "fresh" | "shared";
  /** How long a loan may last. Then its turn is stopped and the member goes back. Default: until it is checked in. */
  lease?: Duration;
  /**
   * What differs from member to member, over the other options, by its number from 0: for what only one session can use, such as
   * an in-process MCP server. Called once for each. Default: they are all alike.
   */
  member?: (index: number) => SessionDefaults;
  /** How many may wait for a member. One more is refused with `POOL_EXHAUSTED`. Default 1,000. */
  waitingLimit?: number;
}

/** A pool as a child of a supervisor, with the options of its members; made by {@link pool}. */
export interface PoolOptions extends PoolKeeping, SessionDefaults {
  /** Its name; its members are called `[name, 0]`, `[name, 1]`, … */
  pool: string | GlobalName;
}

/**
 * A set of interchangeable sessions. Each is supervised like any other, and has no process until it is first needed, unless
 * `activation` is `"eager"`. One that is quarantined, stopped or ended is replaced by another; when as many are quarantined as there
 * may be, they begin again, one after the other, after a second, then after twice as long each time, up to a minute.
 *
 * The pool's name is accepted by `query` and `stream`, which pick a member; {@link checkout} lends one for several turns.
 *
 * @example
 * await Supervisor.start([pool("summaries", { size: 4, maxTurns: 5 })]);
 * await query("summaries", `Summarise this:\n${text}`);
 * await using loan = await checkout("summaries", { timeout: "30s" });
 * await loan.session.query("Read this first: …");
 */
export function pool(name: string | GlobalName, options: PoolKeeping & SessionDefaults): PoolOptions {
  return { ...options, pool: name };
}

/** {@link PoolOptions} with their defaults. */
export interface PoolSettings {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly shrinkAfterMs: number;
  readonly balance: Balance;
  /** Whether everybody begins with an empty conversation. */
  readonly fresh: boolean;
  readonly leaseMs: number | undefined;
  readonly waitingLimit: number;
  /** The options of the member of this number. @throws CastellanError `INVALID_OPTIONS` if it has none */
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
  member: z.custom<PoolKeeping["member"]>((value) => typeof value === "function", "expected a function").optional(),
  waitingLimit: z.int().nonnegative().default(1_000),
});

/** Options that can only be one session's. */
const OF_ONE = ["resume", "forkSession", "resumeSessionAt", "sessionId", "abortController"] as const;

/**
 * @param at where the pool stands, for messages
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
  const { pool: name, size, min, max, shrinkAfter, balance, conversation, lease, member, waitingLimit } = parsed;
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
    sessions: (index) => {
      if (member === undefined) return common;
      const own = member(index);
      const given: unknown = own;
      const isOptions = typeof given === "object" && given !== null && !("then" in given);
      const problems = isOptions ? unknownIn(own) : [{ field: "", message: "expected options of a session, at once" }];
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
      return [{ field, message: "cannot be set on a pool: it can only be one session's" }];
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
