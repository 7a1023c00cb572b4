import { Supervisor, type SupervisorOptions, template } from "castellan";

/** A conversation for each user, which the user's first message starts. */
export async function startChats(options: SupervisorOptions = {}): Promise<Supervisor> {
  const chat = template("chat", (user: string) => ({
    systemPrompt: `You help ${user}. Answer in a few sentences.`,
    tools: ["Bash"],
    approvals: { timeout: "1h" }, // Claude asks before it runs a command; after an hour, the answer is no
    isolate: true, // each conversation has a directory of its own
    idleTimeout: "10m",
  }));
  const sqlite = process.env["CHAT_JOURNAL"] ?? ".castellan/castellan.db";
  return await Supervisor.start([chat], {
    journal: { sqlite, waitForOwner: "1m" }, // the next release takes over from this one
    ...options,
    capacity: { maxProcesses: 8 },
  });
}
