import type { EndingStages } from "../../claude/process.ts";
import type { Shutdown } from "../../supervision/child-spec.ts";

/** How long an idle process may take to end by itself once its input has ended; it needs about 50 ms. */
const INPUT_MS = 500;

/**
 * The stages in which a process is ended within `shutdown`. An idle one is asked by the end of its input. One that is
 * at work would first finish, and spend, so it gets SIGTERM at once, on which it ends its commands.
 */
export function endingStages(shutdown: Shutdown, busy: boolean): EndingStages {
  if (shutdown === "brutal_kill") return { inputMs: 0, termMs: 0 };
  const total = shutdown === "infinity" ? Number.POSITIVE_INFINITY : shutdown;
  const inputMs = busy ? 0 : Math.min(INPUT_MS, total / 2);
  return { inputMs, termMs: total - inputMs };
}
