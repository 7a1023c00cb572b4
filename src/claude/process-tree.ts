import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setImmediate as nextRound } from "node:timers/promises";
import { type Clock, pause } from "../clock.ts";
import { isAlive, MARKER, ownerOf, thisOwner } from "./marker.ts";

/** A process that carries a marker. */
export interface MarkedProcess {
  readonly pid: number;
  readonly marker: string;
}

/** Whether this platform tells the environment of a process. */
export const readsMarkers: boolean = process.platform === "linux";

/** How long ends are waited for, and how often it is looked, in milliseconds. */
const POLL_MS = 20;
const KILL_LIMIT_MS = 2_000;

/**
 * How many environments are read in one go. Each takes about 10 µs, and no disk; asked for in the usual way, through other threads,
 * each costs this thread several times as much, and a session that restarts waits for them.
 */
const READ_AT_ONCE = 64;

/** How long the processes of a dead host may take to end by themselves. Claude Code needs about 100 ms. */
const ORPHAN_TERM_MS = 2_000;

/**
 * Ends what still carries this marker, and resolves when nothing does.
 *
 * Claude Code starts each command in a session of its own, so that killing its process group misses them; after SIGKILL
 * it cannot end them itself. They are known by the environment they inherited.
 */
export async function endMarked(marker: string, clock: Clock): Promise<void> {
  await signalUntilGone((candidate) => candidate === marker, "SIGKILL", KILL_LIMIT_MS, clock);
}

/**
 * Ends what hosts that are no longer alive have left behind, and says what it was. Ownership is proven by pid namespace,
 * pid and start time, never by a name: what belongs to a living host, or to one in another container, is left alone.
 */
export async function endOrphans(clock: Clock): Promise<readonly MarkedProcess[]> {
  const { namespace } = thisOwner();
  const orphaned = (marker: string): boolean => {
    const owner = ownerOf(marker);
    return owner !== undefined && owner.namespace === namespace && !isAlive(owner);
  };
  const found = await findMarked(orphaned);
  if (found.length === 0) return found;
  const markers = new Set(found.map(({ marker }) => marker));
  await signalUntilGone((marker) => markers.has(marker), "SIGTERM", ORPHAN_TERM_MS, clock);
  await signalUntilGone((marker) => markers.has(marker), "SIGKILL", KILL_LIMIT_MS, clock);
  return found;
}

/**
 * The processes of this user whose marker `wanted` accepts. Only Linux tells; elsewhere there are none.
 *
 * A process that is already dead but not yet cleared away has no environment and is not found.
 *
 * @throws Error if it cannot be told, for lack of descriptors
 */
export async function findMarked(wanted: (marker: string) => boolean): Promise<MarkedProcess[]> {
  if (!readsMarkers) return [];
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const found: MarkedProcess[] = [];
  for (let from = 0; from < pids.length; from += READ_AT_ONCE) {
    if (from > 0) await nextRound();
    for (const pid of pids.slice(from, from + READ_AT_ONCE)) {
      const marker = markerOf(pid);
      if (marker !== undefined && wanted(marker)) found.push({ pid, marker });
    }
  }
  return found;
}

async function signalUntilGone(
  wanted: (marker: string) => boolean,
  signal: NodeJS.Signals,
  limitMs: number,
  clock: Clock,
): Promise<void> {
  const deadline = clock.monotonic() + limitMs;
  const signalled = new Set<number>();
  for (;;) {
    // Without descriptors it cannot be told who is left; then it is asked again until the time is up.
    const left = await findMarked(wanted).catch(() => undefined);
    if (left?.length === 0 || clock.monotonic() >= deadline) return;
    for (const { pid } of left ?? []) {
      if (signalled.has(pid)) continue;
      signalled.add(pid);
      kill(pid, signal);
    }
    await pause(clock, POLL_MS);
  }
}

function markerOf(pid: number): string | undefined {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
    const start = environment.startsWith(`${MARKER}=`) ? 0 : environment.indexOf(`\0${MARKER}=`) + 1;
    if (start === 0 && !environment.startsWith(`${MARKER}=`)) return undefined;
    const end = environment.indexOf("\0", start);
    return environment.slice(start + MARKER.length + 1, end === -1 ? undefined : end);
  } catch (error) {
    // Gone meanwhile, or somebody else's.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile.
  }
}
