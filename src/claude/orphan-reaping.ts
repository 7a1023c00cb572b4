import { execFile } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { type Clock, pause } from "../clock.ts";

/** What to do where nothing clears orphans away. */
export const RUN_AN_INIT: string =
  "run an init as the first process: `docker run --init`, `init: true` in a Compose file, or `tini` in the image";

/**
 * How long an orphan may take to be cleared away, and how often it is looked, in milliseconds. An init needs less than one; there are
 * first processes that clear away every two seconds.
 */
const REAP_LIMIT_MS = 5_000;
const POLL_MS = 20;

/** Leaves a process behind, which ends with its input, and says which one. Its output is not the one that is waited for. */
const ORPHAN = "exec 3<&0; cat <&3 > /dev/null 2>&1 & echo $!";

/**
 * Whether the first process of this machine or container, which is the parent of all orphans, is a Node.js: this one or, as with
 * `npm start`, one above it. Node.js waits only for what it has started itself, so that every other orphan remains as a zombie.
 */
export function firstProcessIsNode(): boolean {
  if (process.platform !== "linux") return false;
  if (process.pid === 1) return true;
  try {
    return basename(readlinkSync("/proc/1/exe")) === "node";
  } catch {
    // Another user's, which this one may not look at.
    return false;
  }
}

let found: Promise<boolean | undefined> | undefined;

/**
 * Whether orphans are cleared away here, found out with one, once in the life of this process. `undefined` where it cannot be told.
 */
export function reapsOrphans(clock: Clock): Promise<boolean | undefined> {
  found ??= find(clock);
  return found;
}

async function find(clock: Clock): Promise<boolean | undefined> {
  if (process.platform !== "linux") return undefined;
  const said = await new Promise<string>((resolve) => {
    const parent = execFile("sh", ["-c", ORPHAN], (error, stdout) => {
      // Now that its parent has ended, and would not clear it away.
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
