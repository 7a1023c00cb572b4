import { registry } from "../application/names/registry.ts";
import { ownerOf, thisOwner } from "../claude/marker.ts";
import { findMarked } from "../claude/process-tree.ts";
import type { FakeClaude } from "./fake-claude/fake-claude.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/** What is to be looked at besides. */
export interface LeakCheck {
  /** Its processes have to have ended, and its scripts to have thrown nothing. */
  readonly fake?: FakeClaude;
  /** Nothing may wait for it. */
  readonly clock?: SimulatedClock;
}

/**
 * Throws an error that lists what a test has left behind: sessions that are still registered, Claude Code processes of this
 * process with all that they started (on Linux), processes of a fake, errors of its scripts, timers of a clock. To be called when
 * supervisors have been stopped.
 *
 * @example
 * afterEach(() => expectNoLeaks({ fake }));
 */
export async function expectNoLeaks({ fake, clock }: LeakCheck = {}): Promise<void> {
  const leaks = [
    ...[...registry.states()].flatMap(([supervisor, states]) =>
      [...states].map(([state, count]) => `${count} session(s) of ${supervisor} in state ${state}`),
    ),
    ...(await ownProcesses()).map((pid) => `the process ${pid} of Claude Code, or one that it started`),
    ...(fake?.running ?? []).map(
      ({ pid, prompts }) => `the fake process ${pid}, which was asked ${prompts.length} times`,
    ),
    ...(fake?.errors ?? []).map(
      (error) => `an error of a script: ${error instanceof Error ? error.message : String(error)}`,
    ),
    ...(clock === undefined || clock.timers === 0 ? [] : [`${clock.timers} timer(s) of the clock`]),
  ];
  if (leaks.length > 0) throw new Error(`left behind:\n${leaks.map((leak) => `  - ${leak}`).join("\n")}`);
}

/** Those that carry the marker of this process. */
async function ownProcesses(): Promise<number[]> {
  const { namespace, pid, startTime } = thisOwner();
  const own = await findMarked((marker) => {
    const owner = ownerOf(marker);
    return owner?.namespace === namespace && owner.pid === pid && owner.startTime === startTime;
  });
  return own.map((process) => process.pid);
}
