import { type SessionDefaults, Supervisor, type SupervisorOptions, template } from "castellan";

// #region strict
/** For sessions whose prompts come from people you do not know. */
function strict(root: string): SessionDefaults {
  return {
    isolate: { root }, // a directory of its own, which file tools cannot leave
    tools: ["Read", "Write", "Edit"], // no commands, no network
    apiKey: { env: "TENANT_KEY" }, // no credentials of the machine
    settingSources: [], // the default: no settings, hooks or CLAUDE.md of the machine
    maxTurns: 20,
    timeout: "5m",
    mailboxLimit: 5,
    maxMemory: "600MB",
    budget: { usd: 2, per: "day" },
  };
}

export async function startStrict(root: string, options: SupervisorOptions = {}): Promise<Supervisor> {
  const support = template("support", (_tenant: string, _user: string) => strict(root));
  return await Supervisor.start([support], { ...options, capacity: { maxProcesses: 16 } });
}
// #endregion
