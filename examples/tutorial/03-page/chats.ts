import { Supervisor, type SupervisorOptions, template } from "castellan";

/** A conversation for each user, which the user's first message starts. */
export async function startChats(options: SupervisorOptions = {}): Promise<Supervisor> {
  const chat = template("chat", (user: string) => ({
    systemPrompt: `You help ${user}. Answer in a few sentences.`,
    tools: [],
    idleTimeout: "10m",
  }));
  return await Supervisor.start([chat], { ...options, capacity: { maxProcesses: 8 } });
}
