import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { findMarked, readsMarkers } from "./process-tree.ts";

/** Returns the memory use of activations in bytes, by marker. Unknown ones are left out. */
export type MemoryReader = (markers: ReadonlySet<string>) => Promise<ReadonlyMap<string, number>>;

/**
 * Returns the memory use of all processes with each marker and their descendants, as proportional set size: shared
 * memory is divided among the processes, so a sum counts nothing twice. Linux only; empty elsewhere.
 *
 * @throws Error if it cannot be read for lack of file descriptors
 */
export async function readMemory(markers: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  if (!readsMarkers || markers.size === 0) return sums;
  const marked = await findMarked((marker) => markers.has(marker));
  const owners = descendants(new Map(marked.map(({ pid, marker }) => [pid, marker])), await parents());
  for (const [pid, marker] of owners) {
    // One at a time, because the kernel walks all of each process's memory.
    const bytes = await proportionalSize(pid);
    if (bytes !== undefined) sums.set(marker, (sums.get(marker) ?? 0) + bytes);
  }
  return sums;
}

/** Returns the processes of each marker, with descendants that do not carry a marker themselves. */
export function descendants(
  marked: ReadonlyMap<number, string>,
  parentOf: ReadonlyMap<number, number>,
): ReadonlyMap<number, string> {
  const owners = new Map(marked);
  for (const pid of parentOf.keys()) {
    const path: number[] = [];
    let at: number | undefined = pid;
    // Because the processes were read one after the other, a reused pid may break the tree.
    while (at !== undefined && !owners.has(at) && !path.includes(at)) {
      path.push(at);
      at = parentOf.get(at);
    }
    const marker = at === undefined ? undefined : owners.get(at);
    if (marker !== undefined) for (const below of path) owners.set(below, marker);
  }
  return owners;
}

async function parents(): Promise<ReadonlyMap<number, number>> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => undefined);
      // The second field, in parentheses, is the program's name and may contain anything.
      const parent = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
      return parent === undefined ? [] : [[Number(pid), Number(parent)] as const];
    }),
  );
  return new Map(found.flat());
}

async function proportionalSize(pid: number): Promise<number | undefined> {
  // The process is gone, or belongs to another user.
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "latin1").catch(() => "");
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}

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
