import { execFile } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { type Clock, pause } from "../clock.ts";

/** The advice for systems that do not reap orphans. */
export const RUN_AN_INIT: string =
  "run an init as the first process: `docker run --init`, `init: true` in a Compose file, or `tini` in the image";

/**
 * How long reaping an orphan may take, and how often to check, in milliseconds. An init needs less than one; some first
 * processes reap every two seconds.
 */
const REAP_LIMIT_MS = 5_000;
const POLL_MS = 20;

/**
 * Leaves a process behind, which ends with its input, and prints its pid. Its output is separate, so that nobody waits
 * for it.
 */
const ORPHAN = "exec 3<&0; cat <&3 > /dev/null 2>&1 & echo $!";

/**
 * Whether the first process of this machine or container, which is the parent of all orphans, is a Node.js process:
 * this one or, as with `npm start`, one above it. Node.js only waits for processes that it started, so all other
 * orphans stay zombies.
 */
export function firstProcessIsNode(): boolean {
  if (process.platform !== "linux") return false;
  if (process.pid === 1) return true;
  try {
    return basename(readlinkSync("/proc/1/exe")) === "node";
  } catch {
    // Another user's process, which cannot be inspected.
    return false;
  }
}

let found: Promise<boolean | undefined> | undefined;

/** Tests with one orphan, once per process, whether orphans are reaped here. `undefined` if unknown. */
export function reapsOrphans(clock: Clock): Promise<boolean | undefined> {
  found ??= find(clock);
  return found;
}

async function find(clock: Clock): Promise<boolean | undefined> {
  if (process.platform !== "linux") return undefined;
  const said = await new Promise<string>((resolve) => {
    const parent = execFile("sh", ["-c", ORPHAN], (error, stdout) => {
      // The parent has ended, so it cannot reap the orphan.
      parent.stdin?.on("error", () => {}).end();
      resolve(error === null ? stdout : "");
    });
  });
  if (!/^\d+\n$/.test(said)) return undefined;
  const deadline = clock.monotonic() + REAP_LIMIT_MS;
  while (isThere(Number(said))) {
    if (clock.monotonic() >= deadline) return false;
    await pause(clock, POLL_MS);
  }
  return true;
}

function isThere(pid: number): boolean {
  try {
    readFileSync(`/proc/${pid}/stat`);
    return true;
  } catch {
    return false;
  }
}
