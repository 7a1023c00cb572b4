import { readdir, readFile } from "node:fs/promises";
import { findMarked, readsMarkers } from "./process-tree.ts";

/** Tells how much memory activations use, in bytes, by their markers. Those of which it cannot be told are left out. */
export type MemoryReader = (markers: ReadonlySet<string>) => Promise<ReadonlyMap<string, number>>;

/**
 * The memory of all that carries each marker, and of all that descends from that, as proportional set size: what processes
 * share is divided among them, so that a sum counts nothing twice. Only Linux tells; elsewhere there is none.
 *
 * @throws Error if it cannot be told, for lack of descriptors
 */
export async function readMemory(markers: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  const sums = new Map<string, number>();
  if (!readsMarkers || markers.size === 0) return sums;
  const marked = await findMarked((marker) => markers.has(marker));
  const owners = descendants(new Map(marked.map(({ pid, marker }) => [pid, marker])), await parents());
  for (const [pid, marker] of owners) {
    // One after the other, since the kernel walks through the whole memory of each.
    const bytes = await proportionalSize(pid);
    if (bytes !== undefined) sums.set(marker, (sums.get(marker) ?? 0) + bytes);
  }
  return sums;
}

/** The processes of each marker, with those that descend from them and do not carry it themselves. */
export function descendants(
  marked: ReadonlyMap<number, string>,
  parentOf: ReadonlyMap<number, number>,
): ReadonlyMap<number, string> {
  const owners = new Map(marked);
  for (const pid of parentOf.keys()) {
    const path: number[] = [];
    let at: number | undefined = pid;
    // What was read one after the other need be no tree: a pid may have been given anew.
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
      // The name of the program stands second, in parentheses, and may hold anything.
      const parent = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
      return parent === undefined ? [] : [[Number(pid), Number(parent)] as const];
    }),
  );
  return new Map(found.flat());
}

async function proportionalSize(pid: number): Promise<number | undefined> {
  // Gone meanwhile, or somebody else's.
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "latin1").catch(() => "");
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024;
}
