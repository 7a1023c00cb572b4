import { z } from "zod";
import type { MemorySize } from "../capacity/memory-size.ts";
import { memorySchema, validate } from "../session/validation.ts";

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
}

/** {@link CapacityOptions} with what was not given as it is without. */
export interface CapacitySettings {
  readonly maxProcesses: number | undefined;
  /** In bytes. */
  readonly memoryBudget: number | undefined;
}

const schema = z.strictObject({ maxProcesses: z.int().positive().optional(), memoryBudget: memorySchema.optional() });

/** @throws CastellanError `INVALID_OPTIONS` */
export function capacitySettings(options: CapacityOptions | undefined): CapacitySettings {
  const { maxProcesses, memoryBudget } = validate(schema, options ?? {}, "supervisor", "capacity");
  return { maxProcesses, memoryBudget };
}
