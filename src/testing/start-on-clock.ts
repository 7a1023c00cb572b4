import { randomUUID } from "node:crypto";
import type { ChildOptions } from "../application/options/child-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import { Supervisor } from "../application/supervisor.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/**
 * Starts a supervisor that knows no other time than the clock's: timeouts, idle times, back-off, leases and all other waits of it
 * and of its sessions come to pass when a test moves the clock, and not before. Back-off has no jitter.
 *
 * @throws what {@link Supervisor.start} throws
 * @example
 * const clock = new SimulatedClock();
 * const supervisor = await startOnClock(clock, [{ name: "assistant", idleTimeout: "10m" }], { journal: "memory" });
 * await clock.advance(10 * 60_000); // and it hibernates
 */
export async function startOnClock(
  clock: SimulatedClock,
  children: readonly ChildOptions[],
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  return await Supervisor.startWith(children, options, { clock, newId: randomUUID, random: () => 0.5 });
}
