import { z } from "zod";
import type { MemorySize } from "../../capacity/memory-size.ts";
import type { TurnLimits } from "../../capacity/turn-limiter.ts";
import { memorySchema, validate } from "../../session/options/validation.ts";

/** How many processes a supervisor and all below it may have at a time, and how much memory. */
export interface CapacityOptions {
  /**
   * How many Claude Code processes there may be. When all are taken, the session that has been idle for longest hibernates;
   * when all are at work, a turn waits in line, for its `queueTimeout` at the most. Default: no limit.
   */
  maxProcesses?: number;
  /**
   * How much memory they may use together, as proportional set size: `"4GB"`, or bytes. It is measured every ten seconds;
   * when it is more, those sessions hibernate that have been idle for longest, and no process is started beside others until
   * it is less. Default: no limit. One that has not been measured counts as 100 MB, which outside of Linux all do.
   */
  memoryBudget?: MemorySize;
  /**
   * How many unused processes may be kept ready, so that a conversation that begins need not wait for one to start. One is
   * taken only in the place of a process with the same options, directories and environment. Of each kind that was needed
   * twice in the last ten minutes, or is that of a template whose options are the same for all, as many are kept as were
   * needed at a time; they give way to sessions. A conversation that is gone on with has to be resumed
   * by a process of its own. Default 0. {@link Supervisor.capacity} tells what came of them.
   */
  spares?: number;
  /**
   * How many turns may run at a time: of all sessions, or `{ total, perKey }` with a limit for those that use the same key of
   * the API besides. Sessions that wait take turns: each runs one, then goes to the end of the line. Waiting counts towards
   * `queueTimeout`. A turn counts until it has ended, also while it waits for an approval, so that one that asks another
   * session needs room for both. Default: no limit.
   */
  maxConcurrentTurns?: number | { readonly total?: number; readonly perKey?: number };
}

/** {@link CapacityOptions} with what was not given as it is without. */
export interface CapacitySettings {
  readonly maxProcesses: number | undefined;
  /** In bytes. */
  readonly memoryBudget: number | undefined;
  readonly spares: number;
  readonly maxConcurrentTurns: TurnLimits;
}

const schema = z.strictObject({
  maxProcesses: z.int().positive().optional(),
  memoryBudget: memorySchema.optional(),
  spares: z.int().nonnegative().default(0),
  maxConcurrentTurns: z
    .union([
      z.int().positive(),
      z.strictObject({ total: z.int().positive().optional(), perKey: z.int().positive().optional() }),
    ])
    .default({}),
});

/** @throws CastellanError `INVALID_OPTIONS` */
export function capacitySettings(options: CapacityOptions | undefined): CapacitySettings {
  const { maxProcesses, memoryBudget, spares, maxConcurrentTurns } = validate(
    schema,
    options ?? {},
    "supervisor",
    "capacity",
  );
  const limits = typeof maxConcurrentTurns === "number" ? { total: maxConcurrentTurns } : maxConcurrentTurns;
  return { maxProcesses, memoryBudget, spares, maxConcurrentTurns: limits };
}
