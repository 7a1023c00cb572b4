import { spawn } from "node:child_process";
import { MARKER, thisOwner } from "./marker.ts";

/*
 * Waits until this host is gone, which closes the script's input, then gives the remaining processes a second to end by
 * themselves and kills the rest. `grep` finds processes with the host's marker in their environment.
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
 * Starts, once per host, a small process that outlives the host and ends what its death left behind.
 *
 * On the parent-death signal, Claude Code ends its commands and itself, usually within 100 ms. While it waits for an
 * MCP server it may take seconds, and a hung process does not end at all. Only Linux shows the environment of a
 * process.
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
  // Without a shell there is no orphan killer; the next host then kills the orphans.
  killer.on("error", () => {});
  if (killer.stdin === undefined) {
    // Without free file descriptors, Node creates no streams; the next start tries again.
    started = false;
    return;
  }
  killer.stdin.on("error", () => {});
  killer.unref();
  if ("unref" in killer.stdin && typeof killer.stdin.unref === "function") killer.stdin.unref();
}
