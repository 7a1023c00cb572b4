import { z } from "zod";
import type { MemorySize } from "../../capacity/memory-size.ts";
import type { TurnLimits } from "../../capacity/turn-limiter.ts";
import { memorySchema, validate } from "../../session/options/validation.ts";

/** Limits on the processes and the memory of a supervisor and everything below it. */
export interface CapacityOptions {
  /**
   * The maximum number of Claude Code processes. At the limit, the session that has been idle longest hibernates. If no session
   * is idle, a turn waits for a process, up to its `queueTimeout`: in order of arrival, except that turns accepted by an earlier run of
   * the application let new ones pass, one each. Default: no limit.
   */
  maxProcesses?: number;
  /**
   * The memory that all processes together may use, as proportional set size: `"4GB"`, or bytes. Castellan measures it every ten
   * seconds. Over the budget, the sessions that have been idle longest hibernate, and no further process starts until usage
   * falls. Default: no limit. A process without a measurement counts as 100 MB; outside Linux, no process is measured.
   */
  memoryBudget?: MemorySize;
  /**
   * The maximum number of unused processes to keep ready, so that a new conversation need not wait for a process to start. A
   * session takes a spare only if its own process would have the same options, directories and environment. Castellan keeps
   * one spare of each template whose options are the same for all sessions, and spares of each kind that was needed twice in
   * the last ten minutes: as many as were needed at a time. Spares count as processes, and make room for sessions. Resuming a
   * conversation always takes a process of its own. {@link Supervisor.capacity} reports hits and misses.
   *
   * Default: 1, only for templates, unless `maxProcesses` is below 4 or `spawnClaudeCodeProcess` is set. 0: none.
   */
  spares?: number;
  /**
   * The maximum number of concurrent turns: of all sessions, or `{ total, perKey }` to limit also the turns that use the same API
   * key. Waiting sessions are served round-robin, one turn each, as with `maxProcesses`. Waiting counts towards `queueTimeout`. A turn counts until it
   * ends, even while it waits for an approval, so a turn that queries another session needs a limit of at least two. On a node of
   * a cluster, the turns of its global sessions count; `cluster.maxConcurrentTurns` limits those of all nodes. Default: no limit.
   */
  maxConcurrentTurns?: number | { readonly total?: number; readonly perKey?: number };
}

/** {@link CapacityOptions} with their defaults. */
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
  spares: z.int().nonnegative().optional(),
  maxConcurrentTurns: z
    .union([
      z.int().positive(),
      z.strictObject({ total: z.int().positive().optional(), perKey: z.int().positive().optional() }),
    ])
    .default({}),
});

/** The fewest processes with which there are spares by default. With fewer, a spare would soon be in the way of a session. */
const SPARING_LIMIT = 4;

/** Validates the capacity options and applies their defaults. @throws CastellanError `INVALID_OPTIONS` */
export function capacitySettings(options: CapacityOptions | undefined): CapacitySettings {
  const { maxProcesses, memoryBudget, spares, maxConcurrentTurns } = validate(
    schema,
    options ?? {},
    "supervisor",
    "capacity",
  );
  const limits = typeof maxConcurrentTurns === "number" ? { total: maxConcurrentTurns } : maxConcurrentTurns;
  const defaultSpares = (maxProcesses ?? SPARING_LIMIT) < SPARING_LIMIT ? 0 : 1;
  return { maxProcesses, memoryBudget, spares: spares ?? defaultSpares, maxConcurrentTurns: limits };
}
