import { registry } from "../application/names/registry.ts";
import { ownerOf, thisOwner } from "../claude/marker.ts";
import { findMarked } from "../claude/process-tree.ts";
import type { FakeClaude } from "./fake-claude/fake-claude.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/** Optional subjects of a leak check. */
export interface LeakCheck {
  /** Expects that its processes have ended and that its scripts have not thrown. */
  readonly fake?: FakeClaude;
  /** Expects that it has no pending timers. */
  readonly clock?: SimulatedClock;
}

/**
 * Checks that a test has left nothing behind: registered sessions, Claude Code processes started by this process and their descendants
 * (on Linux), processes of a fake, errors of its scripts, timers of a clock. Call it after the supervisors have stopped.
 *
 * @throws Error that lists what was left
 *
 * @example
 * afterEach(() => expectNoLeaks({ fake }));
 */
export async function expectNoLeaks({ fake, clock }: LeakCheck = {}): Promise<void> {
  const leaks = [
    ...[...registry.states()].flatMap(([supervisor, states]) =>
      [...states].map(([state, count]) => `${count} session(s) of ${supervisor} in state ${state}`),
    ),
    ...(await ownProcesses()).map((pid) => `process ${pid}, of Claude Code or a descendant`),
    ...(fake?.running ?? []).map(({ pid, prompts }) => `fake process ${pid}, with ${prompts.length} prompts`),
    ...(fake?.errors ?? []).map(
      (error) => `error of a script: ${error instanceof Error ? error.message : String(error)}`,
    ),
    ...(clock === undefined || clock.timers === 0 ? [] : [`${clock.timers} timer(s) of the clock`]),
  ];
  if (leaks.length > 0) throw new Error(`left behind:\n${leaks.map((leak) => `  - ${leak}`).join("\n")}`);
}

/** The processes that carry the marker of this process. */
async function ownProcesses(): Promise<number[]> {
  const { namespace, pid, startTime } = thisOwner();
  const own = await findMarked((marker) => {
    const owner = ownerOf(marker);
    return owner?.namespace === namespace && owner.pid === pid && owner.startTime === startTime;
  });
  return own.map((process) => process.pid);
}
