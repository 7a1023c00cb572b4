import { readFileSync } from "node:fs";

/** The cgroup v2 file in which the kernel counts its out-of-memory kills. */
const EVENTS = "memory.events";

/**
 * Returns how many processes the kernel has killed for lack of memory in this process's cgroup; `undefined` if unknown.
 * The processes of sessions are in the same cgroup.
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
