import { spawn } from "node:child_process";
import { MARKER, thisOwner } from "./marker.ts";

/*
 * Waits until this host is gone, which ends its input; then gives what the host has left behind a second to end by
 * itself, and kills the rest. `grep` names the processes in whose environment the host's marker stands.
 */
const SCRIPT = `
cat > /dev/null
hunt() { grep -lsF "$1" /proc/[0-9]*/environ; }
[ -n "$(hunt "$1")" ] || exit 0
sleep 1
for file in $(hunt "$1"); do
  pid=\${file#/proc/}
  kill -KILL "\${pid%/environ}" 2> /dev/null
done
`;

let started = false;

/**
 * Starts, once in the life of this host, a small process that outlives it and ends what the host's death left behind.
 *
 * On the parent-death signal Claude Code ends its commands and itself, mostly within 100 ms; but while it waits for an
 * MCP server it may take seconds, and one that hangs does not end at all. Only Linux tells the environment of a process.
 */
export function startOrphanKiller(): void {
  if (started || process.platform !== "linux") return;
  started = true;
  const { namespace, pid, startTime } = thisOwner();
  const killer = spawn("sh", ["-c", SCRIPT, "castellan-orphan-killer", `${MARKER}=${namespace}/${pid}/${startTime}/`], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: process.env["PATH"] },
    detached: true,
  });
  // Without a shell there is no orphan killer; then the next host kills the orphans.
  killer.on("error", () => {});
  if (killer.stdin === undefined) {
    // No descriptors are left, so Node made no streams; the next process asks again.
    started = false;
    return;
  }
  killer.stdin.on("error", () => {});
  killer.unref();
  if ("unref" in killer.stdin && typeof killer.stdin.unref === "function") killer.stdin.unref();
}
