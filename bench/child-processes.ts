import { readdirSync, readFileSync } from "node:fs";

/** How many processes of Claude Code this process has; `undefined` where the system does not tell. */
export function claudeChildren(): number | undefined {
  try {
    const children = readdirSync("/proc/self/task").flatMap((task) =>
      readFileSync(`/proc/self/task/${task}/children`, "latin1").split(" ").filter(Boolean),
    );
    return children.filter(isClaude).length;
  } catch {
    return undefined;
  }
}

function isClaude(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--input-format");
  } catch {
    // Gone meanwhile.
    return false;
  }
}
