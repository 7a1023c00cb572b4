import type { EndingStages } from "../../claude/process.ts";
import type { Shutdown } from "../../supervision/child-spec.ts";

/** How long an idle process may take to exit after its input has ended. It needs about 50 ms. */
const INPUT_MS = 500;

/**
 * Returns the stages that end a process within `shutdown`. An idle process exits when its input ends. A busy one would
 * first finish its work, and spend, so it gets SIGTERM at once, on which it also ends its commands.
 */
export function endingStages(shutdown: Shutdown, busy: boolean): EndingStages {
  if (shutdown === "brutal_kill") return { inputMs: 0, termMs: 0 };
  const total = shutdown === "infinity" ? Number.POSITIVE_INFINITY : shutdown;
  const inputMs = busy ? 0 : Math.min(INPUT_MS, total / 2);
  return { inputMs, termMs: total - inputMs };
}
