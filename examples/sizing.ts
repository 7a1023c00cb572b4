import { Supervisor, type SupervisorOptions, template, touch } from "castellan";

// #region limits
export async function startSized(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      { name: "assistant", idleTimeout: "10m" }, // hibernates after ten idle minutes
      { name: "front-desk", pinned: true }, // keeps its process even when idle
      template("support", (userId: number) => ({ systemPrompt: `You help user ${userId}`, idleTimeout: "5m" })),
    ],
    {
      ...options,
      capacity: { maxProcesses: 16, memoryBudget: "6GB", maxConcurrentTurns: { total: 12, perKey: 8 } },
      defaults: { maxMemory: "600MB", maxAge: "1d", ...options.defaults },
    },
  );
}
// #endregion

// #region touch
/** Call it when a user opens the page of a conversation. */
export async function opened(userId: number): Promise<void> {
  await touch(["support", userId]); // "ready", "starting", "full" or "archived"
}
// #endregion

// #region load
export function load(supervisor: Supervisor): string {
  const { processes, waiting, limits, turns } = supervisor.capacity();
  return `${processes} of ${limits.processes} processes, ${waiting} sessions wait, ${turns.running} turns run`;
}
// #endregion
