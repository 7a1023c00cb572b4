import { Supervisor, type SupervisorOptions, template } from "castellan";
import { listen } from "castellan/server";

// #region start
export async function startRelease(sqlite: string, port: number, options: SupervisorOptions = {}): Promise<Supervisor> {
  const supervisor = await Supervisor.start([template("support", (_user: string) => ({ idleTimeout: "10m" }))], {
    ...options,
    journal: { sqlite, waitForOwner: "2m" },
  });
  const server = await listen(supervisor, { port, reusePort: true });
  supervisor.stopOnSignals({ deadline: "2m" });
  // The next release has everything: this process ends once its callers have their answers.
  void supervisor.handedOver.then(async () => {
    await server.close({ deadline: "2m" });
    await supervisor.drain({ deadline: "2m" });
  });
  return supervisor;
}
// #endregion
