import { readFileSync } from "node:fs";

/** Where the kernel counts, with cgroups of the second version, what it killed for lack of memory. */
const EVENTS = "memory.events";

/**
 * How many processes the kernel has killed so far for lack of memory in the cgroup of this process; `undefined` where
 * it does not say. Processes of sessions live in the same cgroup.
 */
export function memoryKills(): number | undefined {
  try {
    const path = readFileSync("/proc/self/cgroup", "latin1").match(/^0::(.*)$/m)?.[1];
    if (path === undefined) return undefined;
    const count = readFileSync(`/sys/fs/cgroup${path}/${EVENTS}`, "latin1").match(/^oom_kill (\d+)$/m)?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}
