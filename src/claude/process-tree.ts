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

/** Whether this platform shows the environment of processes. */
export const readsMarkers: boolean = process.platform === "linux";

/** How long to wait for processes to end, and how often to check, in milliseconds. */
const POLL_MS = 20;
const KILL_LIMIT_MS = 2_000;

/**
 * How many environments to read at once. Each takes about 10 µs and no disk access. Reading asynchronously, through
 * other threads, would cost this thread several times as much, and a restarting session waits for it.
 */
const READ_AT_ONCE = 64;

/** How long the processes of a dead host may take to end by themselves. Claude Code needs about 100 ms. */
const ORPHAN_TERM_MS = 2_000;

/**
 * Ends all processes with this marker; resolves once none is left.
 *
 * Claude Code starts each command in a session of its own, so killing its process group misses them, and after SIGKILL
 * it cannot end them itself. The inherited environment identifies them.
 */
export async function endMarked(marker: string, clock: Clock): Promise<void> {
  await signalUntilGone((candidate) => candidate === marker, "SIGKILL", KILL_LIMIT_MS, clock);
}

/**
 * Ends what dead hosts left behind, and returns it. Ownership is proven by pid namespace, pid and start time, never by
 * a name: processes of a living host, or of one in another container, are left alone.
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
 * Returns this user's processes whose marker `wanted` accepts. Linux only; empty elsewhere.
 *
 * A zombie has no environment and is not found.
 *
 * @throws Error if they cannot be read for lack of file descriptors
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
    // Without file descriptors the processes cannot be read; try again until the time is up.
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
    // The process is gone, or belongs to another user.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process is gone.
  }
}
