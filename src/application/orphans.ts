import { endOrphans } from "../claude/process-tree.ts";
import type { Clock } from "../clock.ts";

let ending: Promise<unknown> | undefined;

/**
 * Ends, once in the life of this process, what hosts that have died have left behind: it could still write to a
 * conversation that is about to be resumed.
 */
export async function orphansEnded(clock: Clock): Promise<void> {
  // What cannot be found out now may be found out at the next start; it keeps nobody from starting.
  ending ??= endOrphans(clock).catch(() => {
    ending = undefined;
  });
  await ending;
}
