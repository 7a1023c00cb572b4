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

let posted = false;

/**
 * Posts, once in the life of this host, a small process that outlives it and ends what the host's death left behind.
 *
 * On the parent-death signal Claude Code ends its commands and itself, mostly within 100 ms; but while it waits for an
 * MCP server it may take seconds, and one that hangs does not end at all. Only Linux tells the environment of a process.
 */
export function postWarden(): void {
  if (posted || process.platform !== "linux") return;
  posted = true;
  const { namespace, pid, startTime } = thisOwner();
  const warden = spawn("sh", ["-c", SCRIPT, "castellan-warden", `${MARKER}=${namespace}/${pid}/${startTime}/`], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { PATH: process.env["PATH"] },
    detached: true,
  });
  // Without a shell there is no warden; then the next host sweeps up.
  warden.on("error", () => {});
  if (warden.stdin === undefined) {
    // No descriptors are left, so Node made no streams; the next process asks again.
    posted = false;
    return;
  }
  warden.stdin.on("error", () => {});
  warden.unref();
  if ("unref" in warden.stdin && typeof warden.stdin.unref === "function") warden.stdin.unref();
}
