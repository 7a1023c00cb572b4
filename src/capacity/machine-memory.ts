import { totalmem } from "node:os";

/** The memory of this machine, or of its container if that has a limit, in bytes. */
export interface MachineMemory {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/** Returns how much memory is used. What the system can free at once, such as its cache of files, counts as free. */
export function machineMemory(): MachineMemory {
  const total = totalmem();
  const limit = process.constrainedMemory();
  // Without a limit, the figure is 0 or far above what the machine has.
  const totalBytes = limit > 0 && limit < total ? limit : total;
  return { usedBytes: Math.max(0, totalBytes - process.availableMemory()), totalBytes };
}
