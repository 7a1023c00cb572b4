import { randomUUID } from "node:crypto";
import type { ChildOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import { Supervisor } from "../application/supervisor.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/**
 * Starts a supervisor on a simulated clock: its timeouts, idle times, back-off, leases and other waits, and those of its sessions, elapse
 * only when the test advances the clock. Back-off has no jitter.
 *
 * @throws the errors of {@link Supervisor.start}
 * @example
 * const clock = new SimulatedClock();
 * const supervisor = await startOnClock(clock, [{ name: "assistant", idleTimeout: "10m" }], { journal: "memory" });
 * await clock.advance(10 * 60_000); // now it hibernates
 */
export async function startOnClock(
  clock: SimulatedClock,
  children: readonly ChildOptions[],
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  return await Supervisor.startWith(children, options, { clock, newId: randomUUID, random: () => 0.5 });
}
