import { z } from "zod";
import { validate } from "../session/validation.ts";

/** How many processes a supervisor and all below it may have at a time. */
export interface CapacityOptions {
  /**
   * How many Claude Code processes there may be. When all are taken, the session that has been idle for longest hibernates;
   * when all are at work, a turn waits in line, for its `queueTimeout` at the most. Default: no limit.
   */
  maxProcesses?: number;
}

/** {@link CapacityOptions} with what was not given as it is without. */
export interface CapacitySettings {
  readonly maxProcesses: number | undefined;
}

const schema = z.strictObject({ maxProcesses: z.int().positive().optional() });

/** @throws CastellanError `INVALID_OPTIONS` */
export function capacitySettings(options: CapacityOptions | undefined): CapacitySettings {
  const { maxProcesses } = validate(schema, options ?? {}, "supervisor", "capacity");
  return { maxProcesses };
}
