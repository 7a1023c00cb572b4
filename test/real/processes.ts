import { readdirSync, readFileSync } from "node:fs";

/** Returns the pids whose command line or environment contains `text`. Linux only. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter(
      (pid) => pid !== process.pid && (read(pid, "cmdline").includes(text) || read(pid, "environ").includes(text)),
    )
    .filter((pid) => !/^State:\s+Z/m.test(read(pid, "status")));
}

/** Returns the command line of a process, its arguments separated by spaces. Empty if there is no such process. */
export function commandOf(pid: number): string {
  return read(pid, "cmdline").replaceAll("\0", " ");
}

/** Returns the parent's pid. 0 if there is no such process. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
